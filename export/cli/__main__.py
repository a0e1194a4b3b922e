"""`python -m keras_norms_cli`, for an interpreter whose scripts are not on the path."""

from . import main

main()
