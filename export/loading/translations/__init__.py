"""What old files say otherwise than Keras 3: one idea a file, and the table of all."""

from __future__ import annotations

from ...report.load_report import Translated
from ..config_tree import Entry, name_of, walk
from ..writer import Writer
from . import (
    activations,
    axes,
    batch_norm_axes,
    bilinear_upsampling,
    causal_padding,
    dropped_arguments,
    dtypes,
    hard_sigmoid,
    input_shapes,
    keras1_names,
    kinds_of_batch_norm,
    known_classes,
    locally_connected,
    masked_softmax,
    masks,
    masks_within_steps,
    multi_gpu,
    norms_of_others,
    recurrent,
    slash_names,
    spectral_norm,
    structure,
    tf_functions,
    tf_op_layers,
    training_objects,
    weight_norm,
)
from .translation import Translation

_OLD = (1, 2)
_SAME = "exact"

# In this order for each layer, a model before the layers within it: the structure first, since the others rely on it.
TRANSLATIONS: tuple[Translation, ...] = (
    Translation("structure", _OLD, "Keras 3 knows no list as a Sequential, no class Model", _SAME, structure.apply),
    Translation(
        "copies on several GPUs",
        (2,),
        "multi_gpu_model cuts the batch and joins it again; the model within computes the same",
        _SAME,
        multi_gpu.apply,
    ),
    Translation(
        "classes of known packages",
        (2,),
        "FixedDropout and BatchNorm are stock layers in inference",
        "exact in inference",
        known_classes.apply,
    ),
    Translation(
        "DeepLab's upsampling",
        (1, 2),
        "its class has no package; by its arguments it is taken to be DeepLab's, which keeps the corners of images",
        "to rounding, if it is DeepLab's",
        bilinear_upsampling.apply,
    ),
    Translation(
        "layers of keras.applications",
        (2,),
        "the file does not say whose this class is; its config is that of Keras' own",
        "exact if it is Keras' own",
        known_classes.of_applications,
    ),
    Translation(
        "names of Keras 1",
        (1,),
        "classes, arguments and weights had other names, kernels another layout",
        _SAME,
        keras1_names.apply,
    ),
    Translation(
        "weight norm",
        (2,),
        "TensorFlow Addons' wrapper: in inference the layer within, with the kernel g v / |v|",
        "to rounding: the kernel is computed once",
        weight_norm.apply,
    ),
    Translation(
        "spectral norm",
        (2,),
        "TensorFlow Addons' wrapper: in inference the layer within, whose kernel training has divided",
        "exact in inference",
        spectral_norm.apply,
    ),
    Translation(
        "norms of others",
        (1, 2),
        "TensorFlow Addons' norms have arithmetic of their own",
        _SAME,
        norms_of_others.of_addons,
    ),
    Translation(
        "norms of others",
        (1, 2),
        "the file does not say whose this norm is; by its arguments it is taken to be keras_contrib's",
        "exact if it is keras_contrib's",
        norms_of_others.of_contrib,
    ),
    Translation("input shapes", _OLD, "in Keras 3 only an InputLayer states a shape", _SAME, input_shapes.apply),
    Translation("names with '/'", _OLD, "Keras 3 refuses '/' in names", _SAME, slash_names.apply),
    Translation("dtype policies", _OLD, "the class of policies has another name", _SAME, dtypes.apply),
    Translation(
        "cuDNN layers",
        _OLD,
        "Keras 3 has LSTM and GRU, which use cuDNN where they can; the gates are laid out anew",
        "to rounding: two biases are added up",
        recurrent.cudnn,
    ),
    Translation(
        "hard_sigmoid",
        _OLD,
        "clip(x / 5 + 1/2, 0, 1) then, clip(x / 6 + 1/2, 0, 1) in Keras 3",
        _SAME,
        hard_sigmoid.apply,
    ),
    Translation(
        "kinds of batch norm", _OLD, "they differ in training only", "exact in inference", kinds_of_batch_norm.apply
    ),
    Translation("one axis", _OLD, "a batch norm of Keras 3 takes a number, no list", _SAME, axes.apply),
    Translation(
        "several axes of a batch norm",
        _OLD,
        "Keras 3 takes one; these are made one by Reshape before and after",
        _SAME,
        batch_norm_axes.apply,
    ),
    Translation(
        "causal padding",
        _OLD,
        "SeparableConv1D does not compute it any more; ZeroPadding1D before it does",
        _SAME,
        causal_padding.apply,
    ),
    Translation(
        "functions of TensorFlow",
        _OLD,
        "Keras 2 made a layer of each; keras.ops computes the same",
        _SAME,
        tf_functions.apply,
    ),
    Translation(
        "operations of TensorFlow",
        (2,),
        "TensorFlow 2.0 to 2.3 made a layer of each; keras.ops computes the same",
        _SAME,
        tf_op_layers.apply,
    ),
    Translation(
        "axes out of order",
        _OLD,
        "Keras 3 puts the axes of a layer norm in order; gamma and beta hold the same numbers in the same order",
        _SAME,
        axes.of_layer_norm,
    ),
    Translation(
        "two ways",
        _OLD,
        "in Keras 3 the second layer of a Bidirectional goes backwards, also where the first does",
        _SAME,
        recurrent.bidirectional,
    ),
    Translation("GRU reset", _OLD, "the default of reset_after was False, now True", _SAME, recurrent.apply),
    Translation(
        "locally connected layers",
        _OLD,
        "Keras 3 has them no more; registered layers of keras_norms take their place",
        _SAME,
        locally_connected.apply,
    ),
    Translation(
        "masks",
        _OLD,
        "masks were joined by 'and', now by 'or', and some layers dropped them; registered layers do as Keras 2 did",
        _SAME,
        masks.apply,
    ),
    # After "masks", which says of each layer whether its model masks anything.
    Translation(
        "masks within steps",
        _OLD,
        "TimeDistributed asked its layer what is masked; a registered layer does as Keras 2's did",
        _SAME,
        masks_within_steps.apply,
    ),
    Translation("activation layers", _OLD, "the same functions have other names", _SAME, activations.apply),
    Translation(
        "training objects",
        _OLD,
        "Keras 3 has not this one; weights are loaded",
        "exact in inference",
        training_objects.apply,
    ),
    Translation(
        "dropped arguments",
        _OLD,
        "Keras 3 computes as this value says",
        "exact in inference",
        dropped_arguments.apply,
    ),
    # These after "masks", and last: rows before it know stock classes by their names.
    Translation(
        "masks beside states",
        _OLD,
        "Keras 3 leaves out the mask of a sequence where states are given; a registered layer does as Keras 2's",
        _SAME,
        recurrent.with_states,
    ),
    Translation(
        "softmax of masks",
        _OLD,
        "where everything was masked all weights were the same, now all are zero, and attention takes masks off its "
        "inputs; registered layers do as those of Keras 2",
        _SAME,
        masked_softmax.apply,
    ),
)


def translate(tree: Entry, writer: Writer) -> list[Translated]:
    """Change a config in place so that Keras 3 computes what its writer meant; say what was changed where."""
    made: list[Translated] = []
    for entry in walk(tree):
        made.extend(
            Translated(name_of(entry), row.name, row.reason, row.exactness)
            for row in TRANSLATIONS
            if writer.major in row.versions and row.apply(entry, writer)
        )
    return made
