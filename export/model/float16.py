"""The limits of half precision. No Keras here: what runs files of unknown origin imports it."""

from __future__ import annotations

FLOAT16_LARGEST = 65504.0
FLOAT16_SMALLEST_NORMAL = 2.0**-14  # 6.1e-5; a smaller number has fewer digits, or is zero
