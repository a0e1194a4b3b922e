"""Steps along the time axis: attention, recurrent layers, a layer for each step."""

from __future__ import annotations

from typing import Any

from .draw import GATES, Draw
from .recipe import Code, Step


def attend(draw: Draw) -> Step | None:
    x = draw.pick(2)
    if x is None:
        return None
    width = draw.shapes[x][-1]
    memories = [name for name, of in draw.shapes.items() if len(of) == 2 and name not in draw.integers]
    other = draw.rng.choice(memories) if draw.chance(0.4) else x
    kind = draw.one("MultiHeadAttention", "MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention")
    causal = (("use_causal_mask", True),) if draw.chance(0.25) else ()
    if kind in ("Attention", "AdditiveAttention"):
        if draw.shapes[other][-1] != width:
            other = x
        how = draw.options(use_scale=(False, True), score_mode=("dot", "dot", "concat")) if kind == "Attention" else ()
        return Step(draw.name(), f"layers.{kind}", how, (x, other), listed=True, call=causal)
    if kind == "GroupQueryAttention":
        heads: tuple[tuple[str, Any], ...] = ("head_dim", 3), ("num_query_heads", 4), ("num_key_value_heads", 2)
    else:
        heads = ("num_heads", draw.one(1, 2, 3)), ("key_dim", draw.one(2, 4)), *draw.options(value_dim=(None, 3))
    return Step(draw.name(), f"layers.{kind}", (*heads, *draw.options(use_bias=(True, False))), (x, other), call=causal)


def recur(draw: Draw) -> Step | None:
    x = draw.pick(2, 2, 3, 4)
    if x is None:
        return None
    rank = len(draw.shapes[x])
    steps = draw.options(return_sequences=(False, True), go_backwards=(False, False, True))
    if rank > 2:
        given = ("filters", 2), ("kernel_size", draw.one(1, 3)), ("padding", draw.one("same", "valid")), *steps
        return draw.step(f"layers.ConvLSTM{rank - 2}D", x, *given)
    units, kind = draw.one(2, 3, 5), draw.one("LSTM", "GRU", "SimpleRNN")
    unrolls = (False,) if None in draw.shapes[x] else (False, False, False, True)
    how = draw.options(use_bias=(True, True, False), unroll=unrolls)
    if kind == "GRU":
        how += draw.options(reset_after=(True, True, False))
    if kind != "SimpleRNN" and draw.chance(0.15):
        how += (("recurrent_activation", draw.one(*GATES)),)
    if draw.chance(0.15):
        how += (("activation", draw.one("relu", "sigmoid", "softsign", "elu")),)
    if draw.chance(0.7):
        return draw.step(f"layers.{kind}", x, ("units", units), *how, *steps)
    inner = ", ".join(
        [str(units), *(f"{name}={value!r}" for name, value in (*how, *steps[:1]) if name != "go_backwards")]
    )
    join = draw.options(merge_mode=("concat", "concat", "sum", "ave", "mul"))
    return draw.step("layers.Bidirectional", x, ("layer", Code(f"layers.{kind}({inner})")), *join)


def over_time(draw: Draw) -> Step | None:
    x = draw.pick(2, 3, 4)
    if x is None:
        return None
    rows = {
        2: ("layers.Dense(3)", "layers.LayerNormalization()"),
        3: ("layers.Conv1D(3, 2)", "layers.Flatten()", "layers.Dense(4)", "layers.MaxPooling1D()"),
        4: ("layers.Conv2D(2, 3)", "layers.GlobalAveragePooling2D()", "keras_norms.GroupNormalization(1)"),
    }[len(draw.shapes[x])]
    return draw.step("layers.TimeDistributed", x, ("layer", Code(draw.rng.choice(rows))))
