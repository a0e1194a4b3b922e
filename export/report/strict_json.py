"""Report data as strict JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np


def strict_json(data: Any) -> str:
    """JSON text; a number that JSON does not have, such as the infinite SQNR of an exact output, becomes null.

    All of it is visible ASCII, whatever a name holds.
    """
    return json.dumps(_finite(data), indent=2, allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    data = data.item() if isinstance(data, np.generic) else data
    return None if isinstance(data, float) and not math.isfinite(data) else data
