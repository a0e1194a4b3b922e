"""Operations on arrays in forms that both formats have.

diag, diagonal   numbers taken from the flat matrix at places known beforehand; diag of a row: the row times ones
cross            a2 b3 - a3 b2 and so on
einsum           of a repeated letter: the diagonal first; of two operands with the same letters: their product, summed
linspace         start + i (stop - start) / (n - 1), and stop itself at the end
slice_update     a choice between what is there and what comes in
unfold           a slice for each place of the window
scan             of a known length: step after step
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops, tree

from .channel_layout import each

Operation = Callable[..., Any]
_MOST_STEPS = 256


def diagonal(original: Operation) -> Operation:
    def call(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        x = ops.moveaxis(tf.convert_to_tensor(x), (axis1, axis2), (-2, -1))
        rows, columns = x.shape[-2:]
        if rows is None or columns is None or not isinstance(offset, int):
            return original(x, offset, -2, -1)
        first, last = max(0, -offset), min(rows, columns - offset)
        places = np.arange(first, max(first, last)) * (columns + 1) + offset
        flat = tf.reshape(x, tf.concat([tf.shape(x)[:-2], [rows * columns]], 0)) if _free(x) > 1 else _flat(x)
        return tf.gather(flat, places.astype(np.int32), axis=-1)

    return call


def _free(x: Any) -> int:
    return list(x.shape).count(None)


def _flat(x: Any) -> Any:
    lead = [-1 if n is None else n for n in x.shape[:-2]]
    return tf.reshape(x, [*lead, x.shape[-2] * x.shape[-1]])


def diag(original: Operation) -> Operation:
    def call(x: Any, k: int = 0) -> Any:
        x = tf.convert_to_tensor(x)
        if x.shape.rank != 1 or x.shape[0] is None:
            return original(x, k)
        ones = np.eye(x.shape[0] + abs(k), k=k, dtype=bool)
        row = tf.pad(x, [[max(0, k), max(0, -k)]])  # column j of the matrix holds x[j - k]
        return tf.where(ones, row[None, :], tf.zeros_like(row)[None, :])

    return call


def cross(original: Operation) -> Operation:
    def call(x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
        one, other = tf.convert_to_tensor(x1), tf.convert_to_tensor(x2)
        a, b, c = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
        if one.shape[a] != 3 or other.shape[b] != 3 or one.dtype != other.dtype:
            return original(x1, x2, axisa, axisb, axisc, axis)
        u, v = tf.unstack(ops.moveaxis(one, a, -1), axis=-1), tf.unstack(ops.moveaxis(other, b, -1), axis=-1)
        return tf.stack([u[i] * v[j] - u[j] * v[i] for i, j in ((1, 2), (2, 0), (0, 1))], axis=c)

    return call


def einsum(original: Operation) -> Operation:
    def call(subscripts: str, *operands: Any, **named: Any) -> Any:
        taken, arrow, made = subscripts.replace(" ", "").partition("->")
        if not arrow or "." in subscripts or named:
            return original(subscripts, *operands, **named)
        letters, arrays = taken.split(","), list(operands)
        for i, term in enumerate(letters):
            for letter in [letter for letter in dict.fromkeys(term) if term.count(letter) == 2]:
                first, second = term.index(letter), term.rindex(letter)
                arrays[i] = ops.diagonal(arrays[i], axis1=first, axis2=second)
                term = letters[i] = term.replace(letter, "") + letter
        if len(letters) == 1 and sorted(letters[0]) == sorted(made):
            return ops.transpose(arrays[0], [letters[0].index(letter) for letter in made])
        if len(letters) == 2 and sorted(letters[0]) == sorted(letters[1]) and set(made) < set(letters[0]):
            other = ops.transpose(arrays[1], [letters[1].index(letter) for letter in letters[0]])
            summed = [i for i, letter in enumerate(letters[0]) if letter not in made]
            rest = [letter for letter in letters[0] if letter in made]
            total = ops.sum(ops.multiply(arrays[0], other), axis=summed)
            return ops.transpose(total, [rest.index(letter) for letter in made])
        return original(f"{','.join(letters)}->{made}", *arrays)

    return call


def linspace(original: Operation) -> Operation:
    def call(start: Any, stop: Any, num: int = 50, endpoint: bool = True, *others: Any, **named: Any) -> Any:
        axis = named.pop("axis", 0)
        plain = not others and not any(named.values()) and num > 1
        tensors = [tf.is_tensor(x) and x.dtype == tf.float32 for x in (start, stop)]
        if not plain or not all(tensors):
            return original(start, stop, num, endpoint, *others, axis=axis, **named)
        step = (stop - start) / np.float32(num - 1 if endpoint else num)
        places = [start + step * np.float32(i) for i in range(num)]
        return tf.stack([*places[:-1], stop + 0.0 * step if endpoint else places[-1]], axis=axis)

    return call


def slice_update(original: Operation) -> Operation:
    def call(inputs: Any, start_indices: Any, updates: Any) -> Any:
        x, new, at = tf.convert_to_tensor(inputs), tf.convert_to_tensor(updates), tf.get_static_value(start_indices)
        at = start_indices if at is None and not tf.is_tensor(start_indices) else at
        known = at is not None and all(isinstance(i, (int, np.integer)) for i in at) and new.shape.is_fully_defined()
        inside = known and all(n is None or 0 <= i <= n - m for i, n, m in zip(at, x.shape, new.shape, strict=True))
        if not inside:
            return original(inputs, start_indices, updates)
        sizes = tf.shape(x)
        around = [
            [int(i), sizes[k] - int(i) - m if n is None else n - int(i) - m]
            for k, (i, n, m) in enumerate(zip(at, x.shape, new.shape, strict=True))
        ]
        taken = tf.pad(tf.ones(new.shape, tf.float32), around) > 0.5
        return tf.where(taken, tf.pad(tf.cast(new, x.dtype), around), x)

    return call


def unfold(_: Operation) -> Operation:
    def call(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
        size, apart, around, step = (each(n, 2) for n in (kernel_size, dilation, padding, stride))
        x = tf.pad(input, [[0, 0], [0, 0], *([n, n] for n in around)])
        counts = [(n - a * (k - 1) - 1) // s + 1 for n, a, k, s in zip(x.shape[2:], apart, size, step, strict=True)]
        parts = []
        for place in itertools.product(*map(range, size)):
            rows, columns = (
                slice(p * a, p * a + (n - 1) * s + 1, s) for p, a, n, s in zip(place, apart, counts, step, strict=True)
            )
            parts.append(x[:, :, rows, columns])
        windows = tf.stack(parts, axis=2)  # [N, C, places of the window, rows, columns]
        return tf.reshape(
            windows,
            [-1 if input.shape[0] is None else input.shape[0], input.shape[1] * len(parts), counts[0] * counts[1]],
        )

    return call


def scan(original: Operation) -> Operation:
    def call(
        f: Operation, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False, unroll: Any = 1
    ) -> Any:
        flat = [tf.convert_to_tensor(x) for x in tree.flatten(xs)] if xs is not None else []
        count = length if length is not None else (flat[0].shape[0] if flat else None)
        if not isinstance(count, int) or not 0 < count <= _MOST_STEPS:
            return original(f, init, xs, length, reverse, unroll)
        carry, made = tree.map_structure(tf.convert_to_tensor, init), {}
        for i in reversed(range(count)) if reverse else range(count):
            given = tree.pack_sequence_as(xs, [x[i] for x in flat]) if xs is not None else None
            carry, made[i] = f(carry, given)
            if made[i] is None:
                return original(f, init, xs, length, reverse, unroll)
        return carry, tree.map_structure(lambda *steps: tf.stack(steps), *(made[i] for i in range(count)))

    return call


def associative_scan(original: Operation) -> Operation:
    def call(f: Operation, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
        flat = [tf.convert_to_tensor(x) for x in tree.flatten(elems)]
        count = flat[0].shape[axis]
        if count is None or not 0 < count <= _MOST_STEPS:
            return original(f, elems, reverse, axis)
        parts = [tf.split(x, count, axis=axis) for x in flat]
        steps = [tree.pack_sequence_as(elems, [part[i] for part in parts]) for i in range(count)]
        made = list(itertools.accumulate(reversed(steps) if reverse else steps, f))
        return tree.map_structure(lambda *ys: tf.concat(ys, axis), *(reversed(made) if reverse else made))

    return call
