"""A warning for a quantized file that is larger than the same model in float32."""

from __future__ import annotations


def larger_note(size: int, in_float: int | None, mode: str | None) -> tuple[str, ...]:
    """What to do about it; nothing where the file is smaller, or where nobody knows the other size."""
    if mode is None or in_float is None or size <= in_float:
        return ()
    remedy = "Leave quantize out"
    if mode in ("int8", "int16x8"):
        remedy += ", unless the device has integers alone"
    return (
        f"quantize='{mode}' makes the file larger: {size:,} bytes, in float32 {in_float:,}. Its scales and conversions "
        f"take more than its weights give. {remedy}",
    )
