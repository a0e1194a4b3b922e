"""What Arm's compiler for the Ethos-U, Vela, makes of a .tflite file: it is run, and asked.

What stays on the processor, and why, is in its words; cycles, SRAM and flash are its estimates.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path

from ....errors import ExportError
from ....model.layer_names import layer_of
from ....report.npu_report import LeftOut, NpuReport
from ..delegates.node_table import nodes
from .multiply_adds import multiply_adds

CHIPS = ("ethos-u55-128", "ethos-u85-256")
_SECONDS = 600
_COMMAND = (sys.executable, "-c", "from ethosu.vela.vela import main; main()")
_COUNT = re.compile(r"^(CPU|NPU) operators = (\d+)", re.MULTILINE)
_TENSOR = re.compile(r"\(.*\)$")  # its name, behind some reasons
_LEFT_OUT = re.compile(r"^Warning \(supported operators\) operator: (\w+), ofm: '(.*)'\nReason: (.*)", re.MULTILINE)


def installed() -> bool:
    return find_spec("ethosu") is not None


def compile_for(chip: str, path: Path, layers: Collection[str] | None = None, keep: Path | None = None) -> NpuReport:
    """What Vela says of a file for one of its `--accelerator-config`s.

    `layers` are the names in the model; `keep` is a folder for the compiled file.

    Raises:
        ExportError: If Vela is not installed, or if it fails: with its own last words.
    """
    if not installed():
        raise ExportError("Arm's compiler is not installed. Run: pip install 'keras-norms[npu]'.")
    with tempfile.TemporaryDirectory(prefix="keras-norms-") as folder:
        out = Path(folder) if keep is None else keep
        command = [*_COMMAND, str(path), "--output-dir", str(out), "--accelerator-config", chip]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ExportError(f"Vela does not end within {_SECONDS} s on '{path}'.") from error
        tables = sorted(out.glob(f"{path.stem}_summary_*.csv"))
        if done.returncode or not tables:
            raise ExportError(f"Vela does not compile '{path}' for {chip}: {_last_words(done.stdout, done.stderr)}.")
        with tables[-1].open(newline="") as file:
            row = list(csv.DictReader(file))[-1]
    left = _LEFT_OUT.findall(done.stdout)
    counts = {kind: int(count) for kind, count in _COUNT.findall(done.stdout)}
    return NpuReport(
        chip=chip,
        on_npu=counts["NPU"],
        on_processor=counts["CPU"],
        left_out=tuple(
            LeftOut(op, layer_of(name.split(";")[0], layers), _TENSOR.sub("", reason).strip().rstrip("."))
            for op, name, reason in left
        ),
        macs_share=_share_of_macs(path, {name for _, name, _ in left}),
        cycles=int(float(row["cycles_total"])),
        seconds=float(row["inference_time"]),
        sram_kb=float(row["sram_memory_used"]),
        flash_kb=float(row["off_chip_flash_memory_used"]),
    )


def _share_of_macs(path: Path, left: Collection[str]) -> float:
    """The share of multiply-adds in the operators that are not left out, each known by its output."""
    counts = {node.name: multiply_adds(node) for node in nodes(path)}
    total = sum(counts.values())
    return sum(count for name, count in counts.items() if name not in left) / total if total else 1.0


def _last_words(*texts: str) -> str:
    lines: Sequence[str] = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "it says nothing"
