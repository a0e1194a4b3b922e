"""Another norm in the place of each norm of a model, and norms that train no more."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import keras

from keras_norms import _arguments
from keras_norms._conversions import TARGETS, Options, To
from keras_norms._norms import batch_norms_of, check_model, norms_of
from keras_norms._rebuilding import Rebuilding, check_graph
from keras_norms._selection import Where, selected
from keras_norms._types import Flag, Integer
from keras_norms.convert_report import ConvertReport
from keras_norms.renorm_schedule import RenormSchedule


class ConvertResult(NamedTuple):
    """The converted model and what was done to each norm."""

    model: keras.Model
    report: ConvertReport


def convert_norms(
    model: Any,
    to: To,
    *,
    where: Where = None,
    groups: Integer | Literal["auto"] = "auto",
    schedule: RenormSchedule | None = None,
    virtual_batch_size: Integer | None = None,
) -> ConvertResult:
    """Builds the model anew with another norm in the place of each, and gives it the weights of the old one.

        gamma' = gamma / s_c            beta' = beta - gamma * mean_c / s_c                 batch norm to affine
        gamma' = gamma * s_g / s_c      beta' = beta + gamma * (mean_g - mean_c) / s_c      batch norm to group norm

    with mean_c and s_c = sqrt(variance_c + epsilon) the moving statistics, and mean_g and s_g those of a group of
    channels. The first is exact; the second would be if each sample had the moving statistics, so it is where
    fine-tuning starts. The given model is not changed. Names stay, so that weight files still load by name.

    ============== ======================================================= ===========================================
    `to`           becomes                                                 weights
    ============== ======================================================= ===========================================
    "batch"        `BatchNormalization`                                    all, exactly; of another norm gamma and
                                                                           beta, and the statistics need `recalibrate`
    "renorm"       `BatchRenormalization(schedule=schedule)`               as above
    "group"        `GroupNormalization(groups)`                            matched, as above; gamma and beta
    "instance"     `InstanceNormalization`                                 gamma and beta
    "layer"        `LayerNormalization` over the channel axis              matched, as above; gamma and beta
    "frozen"       the same norm with `trainable=False`                    all, exactly
    "synchronized" a batch norm with `synchronized=True`                   all, exactly
    "ghost"        a batch norm with `virtual_batch_size`                  all, exactly
    "none"         a scale and a shift for each channel, both trained      exactly, statistics merged into them
    "keras"        Keras' class (batch renorm: `renorm=True`, limits of    all, exactly
                   the schedule's end)
    "keras_norms"  this package's class of the same norm                   all, exactly
    ============== ======================================================= ===========================================

    Exact means that inference computes the same but for rounding; where training differs, the report says so. Under a
    mask, Keras' group norm also counts the padding, and this package's does not.

    Args:
        model: A built Sequential or Functional model; norms in nested models and in wrappers are converted too.
        to: What to put in the place of each norm.
        where: Which norms: a name ("norm", "inner/norm"), a pattern ("block1/*"), a list of them, or a function that
            says of a layer whether to convert it. None for all.
        groups: For "group": number of groups; "auto" for the most, 32 at most, that divide the channels and have at
            least 4 of them, or 8 where the input has no positions; -1 for one channel in each.
        schedule: For "renorm": a `RenormSchedule`; None for the default.
        virtual_batch_size: For "ghost": number of samples with statistics of their own.

    Returns:
        ConvertResult(model, report): `report.converted` says for each norm what it became and whether exactly,
        `report.kept` why others stayed. Compile the model again: its optimizer starts anew.

    Raises:
        TypeError: If `model` is no Keras model or an argument has the wrong type.
        ValueError: If the model is not built or computes its output in Python code, a layer does not come back from its
            config, `to` is no target, `where` names no norm, "ghost" has no `virtual_batch_size`, or a norm that is
            to become "none" is called with `training=True`.

    Example:

    >>> layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(16, 3), keras.layers.BatchNormalization(name="norm")]
    >>> model, report = convert_norms(keras.Sequential(layers), "group")
    >>> model.layers[1].name, model.layers[1].groups, report.converted[0].exact
    ('norm', 4, False)
    >>> print(convert_norms(model, "keras").report.converted[0].weights)
    all kept

    Reference: Wu and He, 2018, https://arxiv.org/abs/1803.08494; Ioffe, 2017, https://arxiv.org/abs/1702.03275.
    """
    check_model(model, "convert_norms")
    options = _options(to, groups, schedule, virtual_batch_size)
    check_graph(model)
    work = Rebuilding(to, options, selected(norms_of(model), where))
    new = work.rebuild(model)
    return ConvertResult(new, work.report(model, new))


def freeze_norms(model: Any, *, where: Where = None, frozen: Flag = True) -> tuple[str, ...]:
    """Sets `trainable` of batch norms, in place: a frozen one runs on its moving statistics and trains nothing.

    Compile the model afterwards: `fit` and `evaluate` keep what they were compiled with.

    Args:
        model: A built model of any kind.
        where: Which batch norms: a name, a pattern, a list of them, or a function of a layer; None for all.
        frozen: False to let them train again.

    Returns:
        The names of these norms.

    Raises:
        TypeError: If `model` is no Keras model, or an argument has the wrong type.
        ValueError: If the model is not built, or `where` names no batch norm.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(name="norm")])
    >>> freeze_norms(model), model.layers[0].trainable
    (('norm',), False)

    Reference: Wu and Johnson, 2021, https://arxiv.org/abs/2105.07576, section 3.4.
    """
    check_model(model, "freeze_norms")
    trainable = not _arguments.flag("frozen", frozen)
    norms = selected(batch_norms_of(model), where)
    for norm in norms:
        norm.layer.trainable = trainable
    return tuple(norm.name for norm in norms)


def _options(to: object, groups: object, schedule: object, virtual_batch_size: object) -> Options:
    if to not in TARGETS:
        raise ValueError(f"`to` has to be one of {', '.join(map(repr, TARGETS))}. Received: to={to!r}.")
    if schedule is not None and not isinstance(schedule, RenormSchedule):
        raise TypeError(
            f"`schedule` has to be a RenormSchedule. Received: schedule={schedule!r}. Use RenormSchedule(...)."
        )
    for name, value, target in (("schedule", schedule, "renorm"), ("virtual_batch_size", virtual_batch_size, "ghost")):
        if value is not None and to != target:
            raise ValueError(
                f"`{name}` goes with to={target!r} only. Received: to={to!r}, {name}={value!r}. Leave it out."
            )
    size = _arguments.virtual_batch_size(virtual_batch_size)
    if to == "ghost" and size is None:
        raise ValueError(
            'to="ghost" needs `virtual_batch_size`. Received: virtual_batch_size=None. '
            "Say how many samples are to have statistics of their own."
        )
    count: int | Literal["auto"] = "auto" if groups == "auto" else _arguments.groups(groups)
    return Options(count, schedule, size)
