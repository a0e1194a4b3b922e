"""Whether an artifact reproduces its model, by the runtimes that its users have."""
