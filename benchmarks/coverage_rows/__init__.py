"""The rows of the coverage table, by kind, and how each is exported."""

from . import (
    activation_rows,
    array_op_rows,
    attention_rows,
    backbone_rows,
    convolution_rows,
    dense_rows,
    elementwise_op_rows,
    image_op_rows,
    matrix_op_rows,
    preprocessing_rows,
    recurrent_rows,
    reduction_op_rows,
    shape_layer_rows,
)

ROWS = (
    *convolution_rows.ROWS,
    *shape_layer_rows.ROWS,
    *dense_rows.ROWS,
    *recurrent_rows.ROWS,
    *attention_rows.ROWS,
    *activation_rows.ROWS,
    *preprocessing_rows.ROWS,
    *elementwise_op_rows.ROWS,
    *reduction_op_rows.ROWS,
    *array_op_rows.ROWS,
    *matrix_op_rows.ROWS,
    *image_op_rows.ROWS,
    *backbone_rows.ROWS,
)
