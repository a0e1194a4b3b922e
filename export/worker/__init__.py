"""The child process in which models are converted."""
