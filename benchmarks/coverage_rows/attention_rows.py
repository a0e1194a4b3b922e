"""Attention layers: queries `x`, values `y`, masks `m` (of values) and `a` (of scores)."""

from .coverage_row import Given, rows

_CODE = """
layers.Attention()([x, y])
layers.Attention(use_scale=True)([x, y])
layers.Attention(score_mode='concat')([x, y])
layers.Attention(score_mode='concat', use_scale=True)([x, y])
layers.Attention(dropout=0.5)([x, y])
layers.Attention()([x, y], mask=[None, m])
layers.Attention()([x, y], use_causal_mask=True)
layers.Attention()([x, y], return_attention_scores=True)
layers.AdditiveAttention()([x, y])
layers.AdditiveAttention(use_scale=False)([x, y])
layers.AdditiveAttention()([x, y], mask=[None, m])
layers.AdditiveAttention()([x, y], use_causal_mask=True)
layers.MultiHeadAttention(2, 8)(x, y)
layers.MultiHeadAttention(2, 8)(x, x)
layers.MultiHeadAttention(2, 8, use_bias=False)(x, y)
layers.MultiHeadAttention(2, 8, value_dim=4, output_shape=6)(x, y)
layers.MultiHeadAttention(2, 8, dropout=0.5)(x, y)
layers.MultiHeadAttention(2, 8, flash_attention=False)(x, y)
layers.MultiHeadAttention(2, 8)(x, x, use_causal_mask=True)
layers.MultiHeadAttention(2, 8)(x, y, attention_mask=a)
layers.MultiHeadAttention(2, 8)(x, y, value_mask=m)
layers.MultiHeadAttention(2, 8)(x, y, query_mask=q, value_mask=m)
layers.MultiHeadAttention(2, 8)(x, y, return_attention_scores=True)
layers.MultiHeadAttention(2, 8, sliding_window=3)(x, x)
layers.MultiHeadAttention(2, 8)(layers.Masking()(x), layers.Masking()(y))
layers.GroupQueryAttention(8, 4, 2)(x, y)
layers.GroupQueryAttention(8, 4, 1)(x, x)
layers.GroupQueryAttention(8, 4, 2, use_bias=False)(x, y)
layers.GroupQueryAttention(8, 4, 2, use_gate=True)(x, y)
layers.GroupQueryAttention(8, 4, 2, sliding_window=3)(x, x)
layers.GroupQueryAttention(8, 4, 2)(x, x, use_causal_mask=True)
layers.GroupQueryAttention(8, 4, 2)(x, y, attention_mask=a)
layers.GroupQueryAttention(8, 4, 2)(x, y, return_attention_scores=True)
"""

_FREE = """
layers.Attention()([x, y])
layers.MultiHeadAttention(2, 8)(x, y)
layers.MultiHeadAttention(2, 8)(x, x, use_causal_mask=True)
layers.GroupQueryAttention(8, 4, 2)(x, y)
"""

_MASKS = {"m": Given((10,), dtype="bool"), "q": Given((10,), dtype="bool"), "a": Given((10, 10), dtype="bool")}
_SERIES = Given((10, 16))

ROWS = (
    *rows("attention", _CODE, x=_SERIES, y=_SERIES, **_MASKS),
    *rows("attention", _FREE, x=Given((None, 16)), y=Given((None, 16))),
    *rows("attention", "layers.MultiHeadAttention(2, 8, attention_axes=(1, 2))(x, x)", x=Given((3, 4, 16))),
)
