"""CRC32C, TensorFlow's checksum of weights, in NumPy: parts of the data side by side, then put together."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

_POLYNOMIAL, _ONES = 0x82F63B78, 0xFFFFFFFF
_LANES, _LANE = 2**12, 2**10  # how many parts, and their bytes; both are powers of two
_CHUNK = _LANES * _LANE


def masked_crc32c(*pieces: Any) -> int:
    """The checksum of some bytes one after the other, turned as TensorFlow stores it."""
    state = _ONES
    for piece in pieces:
        data = np.frombuffer(piece, np.uint8)
        for start in range(0, data.size, _CHUNK):
            state = _extended(state, data[start : start + _CHUNK])
    value = state ^ _ONES
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & _ONES


def _extended(state: int, data: np.ndarray) -> int:
    """The state after some more bytes, at most a chunk of them."""
    if data.size < _LANE:
        table = _zeros_behind(1)
        for byte in data.tolist():
            state = int(table[(state ^ byte) & 0xFF]) ^ (state >> 8)
        return state
    lanes = 1 << ((data.size - 1) // _LANE).bit_length()
    padded = np.zeros(lanes * _LANE, np.uint8)  # zeros before the data change nothing
    padded[-data.size :] = data
    padded[-data.size :][:4] ^= np.frombuffer(state.to_bytes(4, "little"), np.uint8)
    words = np.ascontiguousarray(padded.view("<u4").reshape(lanes, -1).T)
    low, high = _zeros_behind(4)[: 2**16], _zeros_behind(4)[2**16 :]
    states = np.zeros(lanes, np.uint32)
    for row in words:
        states ^= row
        states = low[states & 0xFFFF] ^ high[states >> 16]
    behind = _powers(_LANE)
    while len(states) > 1:
        states = _times(behind, states[0::2]) ^ states[1::2]
        behind = _times(behind, behind)
    return int(states[0])


@cache
def _zeros_behind(count: int) -> np.ndarray:
    """The state after a number of zero bytes for each first byte; for 4, of the low 16 bits, then of the high ones."""
    if count == 4:
        places = np.arange(2**16, dtype=np.uint32)
        return np.concatenate([_times(_powers(4), places), _times(_powers(4), places << np.uint32(16))])
    table: np.ndarray = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ np.where(table & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    return table


def _powers(count: int) -> np.ndarray:
    """What each bit of the state becomes by a number of zero bytes, a power of two."""
    bits = np.left_shift(np.uint32(1), np.arange(32, dtype=np.uint32))
    found: np.ndarray = _zeros_behind(1)[bits & 0xFF] ^ (bits >> 8)
    while count > 1:
        found, count = _times(found, found), count // 2
    return found


def _times(matrix: np.ndarray, states: np.ndarray) -> np.ndarray:
    """States, each changed by a matrix of bits, whose columns are given."""
    found = np.zeros(len(states), np.uint32)
    for bit, column in enumerate(matrix):
        found ^= column * ((states >> np.uint32(bit)) & np.uint32(1))
    return found
