"""Recurrent loops, and `ops.scan`, over a batch of free size as TFLite has them: outputs in one tensor, not in a list.

TensorFlow keeps the outputs of the steps in a list, whose elements need a shape that is known before the loop; a free
batch has none, and the converter refuses. Here step t writes row t of a tensor (time, batch, ...), which is an
operation of TFLite, and reads row t of the inputs. What is masked keeps its states, and its output is the one before,
or zero.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from types import SimpleNamespace
from typing import Any

import tensorflow as tf
from keras import tree
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

Operation = Callable[..., Any]


def rnn(original: Operation) -> Operation:
    """`keras.src.backend.rnn` for inputs whose batch is free."""

    parameters = signature(original)

    def call(*args: Any, **kwargs: Any) -> Any:
        (given := parameters.bind(*args, **kwargs)).apply_defaults()
        asked = SimpleNamespace(**given.arguments)
        flat, time_major, backwards = tree.flatten(asked.inputs), asked.time_major, asked.go_backwards
        free = all(x.shape[int(time_major)] is None for x in flat)
        if asked.unroll or isinstance(asked.input_length, tf.Tensor) or not free:
            return original(*args, **kwargs)
        rows, mask = [_time_first(x, time_major, backwards) for x in flat], asked.mask
        if mask is not None:
            mask = _time_first(_with_axis(tf.cast(mask, tf.bool)), time_major, backwards)

        def step(t: Any, states: Any) -> tuple[Any, Any]:
            taken = tree.pack_sequence_as(asked.inputs, [tf.gather(x, t) for x in rows])
            made: tuple[Any, Any] = asked.step_function(taken, (*states, *(asked.constants or ())))
            return made

        kept = {"zero_masked": asked.zero_output_for_mask, "all_outputs": asked.return_all_outputs}
        outputs, states = _loop(step, rows[0], mask, tuple(asked.initial_states), **kept)
        last = tree.map_structure(lambda y: y[-1], outputs)
        return last, outputs if time_major else tree.map_structure(_turned, outputs), list(states)

    return call


def scan(original: Operation) -> Operation:
    """`keras.ops.scan` whose carry, or whose results, have a free size."""

    def call(
        f: Operation, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False, unroll: Any = 1
    ) -> Any:
        rows = [tf.convert_to_tensor(x) for x in tree.flatten(xs)] if xs is not None else []
        carry = tree.map_structure(tf.convert_to_tensor, init)
        if all(None not in x.shape for x in tree.flatten(carry)) and all(None not in x.shape[1:] for x in rows):
            return original(f, init, xs, length, reverse, unroll)
        known = length if length is not None else rows[0].shape[0]
        count = tf.shape(rows[0])[0] if known is None else known

        def taken(t: Any) -> Any:
            return tree.pack_sequence_as(xs, [tf.gather(x, t) for x in rows]) if rows else None

        _, first = f(carry, taken(0))
        if first is None:  # nothing but the carry is wanted
            return original(f, init, xs, length, reverse, unroll)
        kept = [_room(y, known, count) for y in tree.flatten(first)]

        def body(t: Any, *carried: Any) -> Any:
            place = count - 1 - t if reverse else t
            new, made = f(tree.pack_sequence_as(carry, carried[len(kept) :]), taken(place))
            written = [_written(ys, y, place) for ys, y in zip(carried, tree.flatten(made), strict=False)]
            return (t + 1, *written, *tree.flatten(new))

        given = (tf.constant(0), *kept, *tree.flatten(carry))
        done = tf.while_loop(lambda t, *_: t < count, body, given)[1:]
        return tree.pack_sequence_as(carry, done[len(kept) :]), tree.pack_sequence_as(first, done[: len(kept)])

    return call


def _loop(
    step: Operation, rows: Any, mask: Any, states: Any, *, zero_masked: bool, all_outputs: bool
) -> tuple[Any, Any]:
    """All outputs, or the last alone, time first; and the last states."""
    count = tf.shape(rows)[0] if rows.shape[0] is None else rows.shape[0]
    first, _ = step(0, states)
    zeros = [tf.zeros_like(y) for y in tree.flatten(first)]
    kept = [_room(y, rows.shape[0], count) if all_outputs else y[None] for y in zeros]
    width = len(zeros)

    def body(t: Any, *carried: Any) -> Any:
        so_far, before, held = carried[:width], carried[width : 2 * width], carried[2 * width :]
        output, new = step(t, tree.pack_sequence_as(states, held))
        flat, new = tree.flatten(output), tree.flatten(new)
        if mask is not None:
            here = tf.gather(mask, t)
            flat = [_where(here, y, z) for y, z in zip(flat, zeros if zero_masked else before, strict=True)]
            new = [_where(here, y, z) for y, z in zip(new, held, strict=True)]
        written = [_written(all_y, y, t) if all_outputs else y[None] for all_y, y in zip(so_far, flat, strict=True)]
        return (t + 1, *written, *flat, *new)

    carried = (tf.constant(0), *kept, *zeros, *tree.flatten(states))
    done = tf.while_loop(lambda t, *_: t < count, body, carried)[1:]
    return tree.pack_sequence_as(first, done[:width]), tree.pack_sequence_as(states, done[2 * width :])


def _room(y: Any, known: int | None, count: Any) -> Any:
    sizes = [tf.shape(y)[i] if size is None else size for i, size in enumerate(y.shape)]
    return tf.ensure_shape(tf.zeros(tf.stack([count, *sizes]), y.dtype), [known, *y.shape])


def _written(rows: Any, row: Any, t: Any) -> Any:
    start = tf.stack([t, *[0] * row.shape.rank])
    made = gen_xla_ops.xla_dynamic_update_slice(input=rows, update=row[None], indices=start)
    return tf.ensure_shape(made, rows.shape)


def _where(mask: Any, y: Any, other: Any) -> Any:
    return tf.where(tf.reshape(mask, [-1] + [1] * (y.shape.rank - 1)), y, other)


def _with_axis(mask: Any) -> Any:
    return mask[..., None] if mask.shape.rank == 2 else mask


def _time_first(x: Any, time_major: bool, backwards: bool) -> Any:
    x = x if time_major else _turned(x)
    return tf.reverse(x, [0]) if backwards else x


def _turned(x: Any) -> Any:
    return tf.transpose(x, [1, 0, *range(2, x.shape.rank)])
