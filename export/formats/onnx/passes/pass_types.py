"""What a pass is: a function of one signature, and the row that says where it stands and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import onnx_ir as ir


@dataclass(frozen=True)
class PassOptions:
    """What is asked of the file, and what is known of the model and the runtime; the same for every pass."""

    channels_first_io: bool = False  # inputs and outputs of rank 4 and 5 get their channels second
    channels_first_model: bool = False  # the Keras model has its channels second, where no convolution shows it
    standard_norms: bool = False  # norms='standard'
    layer_norm_is_exact: bool = True  # the runtime's LayerNormalization centres before it squares
    norms_in_either_layout: bool = False  # a group norm may be written with channels last


@dataclass(frozen=True)
class PassResult:
    """What a pass has to say beyond the graph it changed."""

    channels_first: tuple[str, ...] = ()  # inputs and outputs that are channels first from here on
    changed: bool = False  # of a pass that is repeated: whether to try again


Rewrite = Callable[[ir.Model, PassOptions], PassResult | None]


class Group(Enum):
    """The stages of the graph's way, in order."""

    CANONICALIZE = "one spelling for each computation, shapes known"
    RECOGNIZE = "many operations that are one operator"
    LAYOUT = "channels first or last, settled for the whole graph"
    CLEAN_UP = "what the stages before left behind"


@dataclass(frozen=True)
class Pass:
    """A row of `PASSES`."""

    name: str
    group: Group
    rewrite: Rewrite
    why_here: str
    then_clean: bool = False  # remove unused nodes behind it
    then_infer: bool = False  # infer shapes behind that
    repeat: bool = False  # as long as it changes something, cleaned and inferred after each change
