"""Chips without an operating system: what TFLite Micro and Arm's compiler, both optional packages, say of a file."""
