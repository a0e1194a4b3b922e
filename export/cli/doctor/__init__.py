"""What is installed, whether it is one that is supported, and whether the runtimes start."""
