"""One model held to a policy, in a process of its own: what `keras-norms check` asks for, and gets as plain data."""
