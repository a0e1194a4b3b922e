"""Recurrent layers, cells and wrappers, and convolutional LSTMs."""

from .coverage_row import FREE_SERIES, IMAGE, SERIES, VOLUME, Given, rows

_KINDS = ("LSTM", "GRU", "SimpleRNN")
_ARGUMENTS = (
    "16",
    "16, return_sequences=True",
    "16, return_sequences=True, return_state=True",
    "16, go_backwards=True, return_sequences=True",
    "16, use_bias=False",
    "16, unroll=True",
    "16, dropout=0.5, recurrent_dropout=0.5",
    "16, activation='relu'",
)

_MORE = """
layers.LSTM(16, recurrent_activation='hard_sigmoid')(x)
layers.LSTM(16, return_state=True)(x)
layers.LSTM(16)(layers.Masking()(x))
layers.LSTM(16, return_sequences=True, zero_output_for_mask=True)(layers.Masking()(x))
layers.LSTM(16)(x, mask=y)
layers.LSTM(16)(x, initial_state=[z, z])
layers.GRU(16, reset_after=False)(x)
layers.GRU(16, return_state=True)(x)
layers.GRU(16)(layers.Masking()(x))
layers.GRU(16)(x, mask=y)
layers.GRU(16)(x, initial_state=z)
layers.SimpleRNN(16, return_state=True)(x)
layers.SimpleRNN(16)(layers.Masking()(x))
layers.Bidirectional(layers.LSTM(8))(x)
layers.Bidirectional(layers.LSTM(8, return_sequences=True))(x)
layers.Bidirectional(layers.GRU(8), merge_mode='sum')(x)
layers.Bidirectional(layers.GRU(8, return_sequences=True), merge_mode='mul')(x)
layers.Bidirectional(layers.SimpleRNN(8), merge_mode='ave')(x)
layers.Bidirectional(layers.LSTM(8), merge_mode=None)(x)
layers.Bidirectional(layers.LSTM(8))(layers.Masking()(x))
layers.RNN(layers.LSTMCell(16))(x)
layers.RNN(layers.GRUCell(16), return_sequences=True)(x)
layers.RNN(layers.GRUCell(16, reset_after=False))(x)
layers.RNN(layers.SimpleRNNCell(16), go_backwards=True)(x)
layers.RNN(layers.StackedRNNCells([layers.LSTMCell(8), layers.LSTMCell(8)]))(x)
layers.RNN([layers.GRUCell(8), layers.GRUCell(8)], return_state=True)(x)
layers.RNN(layers.LSTMCell(16), unroll=True)(x)
layers.LSTM(8)(layers.LSTM(8, return_sequences=True)(x))
"""

_CONV_LSTM = """
({kernel})(x)
({kernel}, return_sequences=True)(x)
({kernel}, padding='same', return_state=True)(x)
({kernel}, strides=2, padding='same')(x)
({kernel}, dilation_rate=2)(x)
({kernel}, go_backwards=True, use_bias=False)(x)
"""


def _conv_lstm(rank):
    lines = _CONV_LSTM.strip().replace("{kernel}", "4, 2").splitlines()
    return "\n".join(f"layers.ConvLSTM{rank}D{line}" for line in lines)


_FREE = """
layers.LSTM(16)(x)
layers.LSTM(16, return_sequences=True)(x)
layers.GRU(16)(x)
layers.SimpleRNN(16)(x)
layers.Bidirectional(layers.LSTM(8))(x)
layers.TimeDistributed(layers.Dense(4))(x)
"""

ROWS = (
    *rows("recurrent", "\n".join(f"layers.{kind}({args})(x)" for kind in _KINDS for args in _ARGUMENTS), x=SERIES),
    *rows("recurrent", _MORE, x=SERIES, y=Given((10,), dtype="bool"), z=Given((16,))),
    *rows("recurrent", _FREE, x=FREE_SERIES),
    *rows("recurrent", _conv_lstm(1), x=Given((4, 8, 3))),
    *rows("recurrent", _conv_lstm(2), x=Given((4, 6, 6, 3))),
    *rows("recurrent", _conv_lstm(3), x=Given((3, 4, 4, 4, 2))),
    *rows("recurrent", "layers.ConvLSTM2D(4, 2, data_format='channels_first')(x)", x=Given((4, 3, 6, 6))),
    *rows("recurrent", "layers.TimeDistributed(layers.LSTM(4))(x)", x=IMAGE),
    *rows("recurrent", "layers.TimeDistributed(layers.Conv2D(4, 3))(x)", x=VOLUME),
)
