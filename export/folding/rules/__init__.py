"""The fold rules: one family of layers a file, all of them in RULES."""

from __future__ import annotations

from typing import Any

from .attention import Attention
from .base import Absorb, Pass, Rule, Site, Skip
from .constant_kernel import ConstantKernel
from .convolution import Convolution, DepthwiseConvolution, SeparableConvolution, TransposedConvolution
from .dense import Dense
from .einsum_dense import EinsumDense
from .embedding import Embedding
from .merge import Add, Average, Concatenate
from .norm import BATCH_NORMS, TAILS, AffineTail
from .operations import ExpandDims, Extreme, Mean, Pad, Selection, Slice, Squeeze, Transposition
from .passages import (
    Elementwise,
    GlobalAveragePooling,
    GlobalMaxPooling,
    LinearActivation,
    MaxPooling,
    Spatial,
    ZeroPadding,
)
from .shape import Flatten, Permute, RepeatVector, Reshape
from .time_distributed import TimeDistributed

_PLAIN: tuple[Rule, ...] = (
    Convolution(),
    DepthwiseConvolution(),
    SeparableConvolution(),
    TransposedConvolution(),
    Dense(),
    EinsumDense(),
    Attention(),
    Embedding(),
    ConstantKernel(),
    AffineTail(),
    Elementwise(),
    LinearActivation(),
    Spatial(),
    MaxPooling(),
    GlobalAveragePooling(),
    GlobalMaxPooling(),
    ZeroPadding(),
    Flatten(),
    Reshape(),
    Permute(),
    RepeatVector(),
    Concatenate(),
    Add(),
    Average(),
    Transposition(),
    ExpandDims(),
    Squeeze(),
    Slice(),
    Selection(),
    Mean(),
    Extreme(),
    Pad(),
)

# No layer class stands in two rules, so the order says nothing; only TimeDistributed must know the others.
RULES: tuple[Rule, ...] = (*_PLAIN, TimeDistributed(_PLAIN))

_RULE_OF: dict[type, Rule] = {layer: rule for rule in RULES for layer in rule.layers}


def rule_of(layer: Any) -> Rule | None:
    """The rule for exactly this class: a subclass may compute something else."""
    return _RULE_OF.get(type(layer))


__all__ = ["BATCH_NORMS", "RULES", "TAILS", "Absorb", "Pass", "Rule", "Site", "Skip", "rule_of"]
