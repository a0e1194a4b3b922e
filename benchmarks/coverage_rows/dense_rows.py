"""Dense layers, embeddings, wrappers, regularization at inference, and normalization of Keras and of the pack."""

from .coverage_row import IMAGE, SERIES, VECTOR, VOLUME, Given, rows

_DENSE = """
layers.Dense(96)(x)
layers.Dense(96, use_bias=False)(x)
layers.Dense(96, activation='relu')(x)
layers.Dense(96, activation='log_softmax')(x)
layers.Dense(96, activation='softplus')(x)
layers.Dense(96, lora_rank=2)(x)
layers.SpectralNormalization(layers.Dense(96))(x)
pack.WeightStandardization(layers.Dense(96))(x)
"""

_SERIES = """
layers.Dense(32)(x)
layers.EinsumDense('abc,cd->abd', output_shape=(None, 16))(x)
layers.EinsumDense('abc,cd->abd', output_shape=(None, 16), bias_axes='d')(x)
layers.EinsumDense('abc,cde->abde', output_shape=(None, 4, 8), bias_axes='de', activation='relu')(x)
layers.EinsumDense('abc,bcd->abd', output_shape=(10, 4), bias_axes='bd')(x)
layers.TimeDistributed(layers.Dense(16))(x)
layers.TimeDistributed(layers.BatchNormalization())(x)
layers.Masking()(x)
layers.Masking(mask_value=1.0)(x)
layers.SpatialDropout1D(0.5)(x)
layers.UnitNormalization()(x)
layers.UnitNormalization(axis=1)(x)
layers.ActivityRegularization(l2=0.1)(x)
layers.Lambda(lambda t: t * 2 + 1)(x)
layers.Identity()(x)
layers.Dropout(0.5)(x)
layers.Dropout(0.5, noise_shape=(None, 1, 8))(x)
layers.AlphaDropout(0.5)(x)
layers.GaussianDropout(0.5)(x)
layers.GaussianNoise(0.5)(x)
"""

_IMAGE = """
layers.TimeDistributed(layers.Conv1D(4, 3))(x)
layers.SpectralNormalization(layers.Conv2D(16, 3))(x)
pack.WeightStandardization(layers.Conv2D(16, 3))(x)
layers.SpatialDropout2D(0.5)(x)
layers.SpatialDropout2D(0.5, data_format='channels_first')(x)
"""

_NORMS = """
layers.BatchNormalization()(x)
layers.BatchNormalization(axis=1)(x)
layers.BatchNormalization(center=False, scale=False)(x)
layers.BatchNormalization(renorm=True)(x)
layers.BatchNormalization()(layers.Conv2D(16, 3)(x))
layers.LayerNormalization()(x)
layers.LayerNormalization(axis=1)(x)
layers.LayerNormalization(axis=(1, 2, 3))(x)
layers.LayerNormalization(center=False, scale=False)(x)
layers.GroupNormalization(4)(x)
layers.GroupNormalization(-1)(x)
layers.GroupNormalization(4, axis=1)(x)
layers.RMSNormalization()(x)
layers.RMSNormalization(axis=1)(x)
pack.BatchNormalization()(x)
pack.BatchNormalization(axis=1)(x)
pack.BatchNormalization()(layers.Conv2D(16, 3)(x))
pack.BatchRenormalization()(x)
pack.BatchRenormalization(axis=1)(x)
pack.GroupNormalization(4)(x)
pack.GroupNormalization(4, axis=1)(x)
pack.InstanceNormalization()(x)
pack.InstanceNormalization(axis=1)(x)
pack.LayerNormalization()(x)
pack.LayerNormalization(axis=(1, 2, 3))(x)
"""

_SERIES_NORMS = """
layers.BatchNormalization()(x)
layers.LayerNormalization()(x)
layers.GroupNormalization(2)(x)
layers.RMSNormalization()(x)
pack.GroupNormalization(2)(x)
pack.InstanceNormalization()(x)
pack.LayerNormalization()(x)
"""

_EMBEDDING = """
layers.Embedding(64, 32)(x)
layers.Embedding(64, 32, mask_zero=True)(x)
layers.Embedding(64, 32, lora_rank=2)(x)
layers.LSTM(8)(layers.Embedding(64, 32, mask_zero=True)(x))
layers.GlobalAveragePooling1D()(layers.Embedding(64, 32, mask_zero=True)(x))
layers.ReversibleEmbedding(64, 32)(x)
layers.ReversibleEmbedding(64, 32, tie_weights=False, mask_zero=True)(x)
"""

_REVERSED = """
(lambda shared: shared(shared(x), reverse=True))(layers.ReversibleEmbedding(64, 32))
(lambda shared: shared(shared(x), reverse=True))(layers.ReversibleEmbedding(64, 32, logit_soft_cap=5.0))
"""

_TOKENS = Given((6,), 0, 63, "int32")

ROWS = (
    *rows("dense", _DENSE, x=VECTOR),
    *rows("dense", _SERIES, x=SERIES),
    *rows("dense", _IMAGE, x=IMAGE),
    *rows("dense", "layers.SpatialDropout3D(0.5)(x)", x=VOLUME),
    *rows("dense", "layers.Dense(32)(x)", x=Given((None, 8))),
    *rows("dense", _EMBEDDING, x=_TOKENS),
    *rows("dense", _REVERSED, x=_TOKENS),
    *rows("norms", _NORMS, x=IMAGE),
    *rows("norms", _SERIES_NORMS, x=SERIES),
    *rows("norms", "pack.GroupNormalization(4)(x)\npack.LayerNormalization()(x)", x=Given((None, None, 8))),
    *rows("norms", "layers.GroupNormalization(2)(x)\npack.InstanceNormalization()(x)", x=VOLUME),
)
