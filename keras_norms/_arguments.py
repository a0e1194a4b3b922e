"""Checks of constructor arguments: each returns the plain Python value, so that every config is JSON."""

import math
import numbers
from typing import SupportsFloat, SupportsInt, TypeGuard

import numpy as np


def _is_integer(value: object) -> TypeGuard[SupportsInt]:
    return isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))


def integer(name: str, value: object, remedy: str) -> int:
    if not _is_integer(value):
        raise TypeError(f"`{name}` has to be an integer. Received: {name}={value!r}. {remedy}")
    return int(value)


def _is_real(value: object) -> TypeGuard[SupportsFloat]:
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


def number(name: str, value: object, low: float, high: float, invariant: str, remedy: str) -> float:
    """A float between low and high, both included."""
    if not _is_real(value) or not math.isfinite(value) or not low <= float(value) <= high:
        raise ValueError(f"`{name}` has to be {invariant}. Received: {name}={value!r}. {remedy}")
    return float(value)


def flag(name: str, value: object) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` has to be True or False. Received: {name}={value!r}. Pass a bool.")
    return bool(value)


def axis(value: object) -> int:
    """One axis; a list of one, as old Keras configs have it, counts as its element."""
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    return integer("axis", value, "Use -1 for channels-last data, 1 for channels-first data.")


def axes(value: object) -> int | list[int]:
    """An integer, or a list of integers."""
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError("`axis` has to name at least one axis. Received: axis=[]. Use -1 for the last axis.")
        return [integer("axis", v, "Use one integer or a list of integers.") for v in value]
    return integer("axis", value, "Use one integer or a list of integers.")


def epsilon(value: object) -> float:
    return number("epsilon", value, 0.0, math.inf, "a finite number of at least 0", "The default is 1e-3.")


def momentum(value: object) -> float:
    return number("momentum", value, 0.0, 1.0, "a number from 0 to 1", "The default is 0.99.")


def groups(value: object) -> int:
    count = integer("groups", value, "Use a positive integer, or -1 for one channel in each group.")
    if count < 1 and count != -1:
        raise ValueError(
            f"`groups` has to be a positive integer, or -1 for one channel in each group. Received: groups={count}. "
            "The default is 32."
        )
    return count


def virtual_batch_size(value: object) -> int | None:
    if value is None:
        return None
    size = integer("virtual_batch_size", value, "Use the number of samples in one slice, or None.")
    if size < 1:
        raise ValueError(
            f"`virtual_batch_size` has to be at least 1. Received: virtual_batch_size={size}. "
            "Use the number of samples in one slice, or None for the whole batch."
        )
    return size
