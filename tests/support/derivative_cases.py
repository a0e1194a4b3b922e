"""The rows of the table of derivatives: every layer on ranks 2 to 5 and every axis, with and without a mask."""

from dataclasses import dataclass

import numpy as np
from layer_cases import BN, BRN, GN, IN, LN, OPEN, Case

SHAPES = {2: (6, 4), 3: (3, 5, 4), 4: (3, 2, 4, 4), 5: (2, 2, 3, 2, 4)}


@dataclass(frozen=True)
class Row:
    case: Case
    mask_shape: tuple[int, ...] | None = None

    @property
    def id(self):
        return self.case.id + ("" if self.mask_shape is None else f"mask{self.mask_shape}".replace(" ", ""))

    def mask(self):
        if self.mask_shape is None:
            return None
        mask = np.random.default_rng(4).random(self.mask_shape) < 0.7
        mask.reshape(-1)[0] = True
        return mask


def _rows():
    for rank, shape in SHAPES.items():
        for axis in range(1, rank):
            masks = [None, shape[:axis] + shape[axis + 1 :]]
            arguments = {"axis": axis if axis < rank - 1 else -1}
            even = shape[axis] % 2 == 0
            for mask in masks:
                yield Row(Case(BN, shape, arguments), mask)
                yield Row(Case(BRN, shape, {**arguments, "schedule": OPEN}), mask)
                yield Row(Case(GN, shape, {**arguments, "groups": 2 if even else 1}), mask)
                if rank > 2:
                    yield Row(Case(IN, shape, arguments), mask)
            yield Row(Case(LN, shape, arguments))
        if rank > 2:
            yield Row(Case(LN, shape, {"axis": [rank - 2, rank - 1]}))
            yield Row(Case(LN, shape, {"axis": [1, rank - 1] if rank > 3 else [1, 2], "scale": False}))
    yield Row(Case(BN, (5, 3, 4), {"virtual_batch_size": 2}))
    yield Row(Case(BRN, (4, 3, 4), {"virtual_batch_size": 2, "schedule": OPEN}))
    yield Row(Case(BN, (3, 5, 4), {"scale": False, "center": False}))
    yield Row(Case(BN, (6, 4), {"epsilon": 1e-6}))  # less than cuDNN takes: TensorFlow's kernel is left
    yield Row(Case(GN, (3, 5, 4), {"groups": -1, "center": False}))
    yield Row(Case(IN, (1, 1024, 8)))  # so many positions that PyTorch takes the samples one by one
    yield Row(Case(GN, (2, 70, 4), {"groups": 2}))


ROWS = tuple(_rows())
