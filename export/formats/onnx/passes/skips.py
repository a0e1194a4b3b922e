"""Why a pass that looked at a node left it alone: see `rewrite_log.py`."""

from __future__ import annotations

import onnx_ir as ir

from ...rewrite_log import note_skip


def skip(node: ir.Node, reason: str) -> None:
    """Note why `node` is left as it is."""
    note_skip(node.op_type, str(node.name), reason)
