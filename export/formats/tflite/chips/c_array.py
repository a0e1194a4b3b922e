"""A file as an array in a C header, which firmware is compiled with: it has no file system to read one from."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ....artifact.atomic_write import atomic_write
from ....errors import ExportError

_A_LINE = 16
_HEADER = """/* {symbol}: {size} bytes, sha256 {digest}. */
#ifndef {guard}
#define {guard}

#if defined(__cplusplus)
#define {guard}_ALIGNED alignas(16)
#else
#define {guard}_ALIGNED _Alignas(16)
#endif

static const unsigned int {symbol}_len = {size}u;
static const {guard}_ALIGNED unsigned char {symbol}[{size}] = {{
{rows}
}};

#endif
"""


@contextmanager
def header(path: str | os.PathLike[str] | None, artifact: Path) -> Iterator[Callable[[], None]]:
    """What writes a header of the artifact to `path`, which takes its place at the end of the block.

    Raises:
        ExportError: If `path` cannot be written, or does not end as headers do.
    """
    if path is None:
        yield lambda: None
        return
    if Path(path).suffix not in (".h", ".hpp", ".hh"):
        raise ExportError(f"The C array goes into a header, such as model.h; got '{Path(path).name}'. Rename it.")
    with atomic_write(Path(path)) as partial:
        yield lambda: _write(partial, artifact)


def _write(path: Path, artifact: Path) -> None:
    path.write_text(c_array(artifact.read_bytes(), artifact.name), encoding="utf-8")


def c_array(content: bytes, name: str) -> str:
    """A header for C11 and C++11 that needs no other.

    As `xxd -i` calls them, NAME and NAME_len: `digits_tflite` for digits.tflite. Aligned as TFLite Micro asks.
    """
    symbol = re.sub(r"\W", "_", name, flags=re.ASCII)
    symbol = f"model_{symbol}" if symbol[:1].isdigit() else symbol
    rows = (", ".join(f"0x{byte:02x}" for byte in content[i : i + _A_LINE]) for i in range(0, len(content), _A_LINE))
    return _HEADER.format(
        size=len(content),
        digest=hashlib.sha256(content).hexdigest(),
        guard=f"{symbol.upper()}_H",
        symbol=symbol,
        rows=",\n".join(f"  {row}" for row in rows),
    )
