"""What concerns a file of any format: writing it in one step, hashing it, what it says about itself."""
