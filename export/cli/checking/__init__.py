"""Running the checks of a policy, and reporting what came of them to people and to programs."""
