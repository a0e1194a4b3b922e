"""The policy file of `keras-norms check`: read strictly, and turned into what is asked of each model."""
