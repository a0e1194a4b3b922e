"""The fold rules: one kind of layer a file, all of them in RULES."""

from __future__ import annotations

from typing import Any

from .base import Absorb, Pass, Rule, Site, Skip
from .convolution import Convolution, DepthwiseConvolution, SeparableConvolution, TransposedConvolution
from .dense import Dense
from .norm import BATCH_NORMS, AffineTail

# No layer class stands in two rules, so the order is only that of the report.
RULES: tuple[Rule, ...] = (
    Convolution(),
    DepthwiseConvolution(),
    SeparableConvolution(),
    TransposedConvolution(),
    Dense(),
    AffineTail(),
)

_RULE_OF: dict[type, Rule] = {layer: rule for rule in RULES for layer in rule.layers}


def rule_of(layer: Any) -> Rule | None:
    """The rule for exactly this class: a subclass may compute something else."""
    return _RULE_OF.get(type(layer))


__all__ = ["BATCH_NORMS", "RULES", "Absorb", "Pass", "Rule", "Site", "Skip", "rule_of"]
