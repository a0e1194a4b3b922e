"""Which weights of a file get how many bits, so that it fits into a number of bytes or keeps a number of decibels."""
