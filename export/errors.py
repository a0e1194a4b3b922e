"""The errors of the export package: each states the invariant, what was received, and what to do."""


class FoldError(ValueError):
    """A model cannot be folded, or folding it would change what it computes."""


class ExportError(ValueError):
    """A model, a path or an option from which no artifact can be made."""


class VerificationError(RuntimeError):
    """An artifact that does not reproduce its model; it has not been written."""
