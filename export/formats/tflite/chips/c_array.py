"""A file as an array in a C header, which firmware is compiled with: it has no file system to read one from."""

from __future__ import annotations

import re

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


def c_array(content: bytes, name: str, digest: str) -> str:
    """A header for C11 and C++11 that needs no other.

    As `xxd -i` calls them, NAME and NAME_len: `digits_tflite` for digits.tflite. Aligned as TFLite Micro asks.
    """
    symbol = re.sub(r"\W", "_", name, flags=re.ASCII)
    symbol = f"model_{symbol}" if symbol[:1].isdigit() else symbol
    rows = (", ".join(f"0x{byte:02x}" for byte in content[i : i + _A_LINE]) for i in range(0, len(content), _A_LINE))
    return _HEADER.format(
        size=len(content),
        digest=digest,
        guard=f"{symbol.upper()}_H",
        symbol=symbol,
        rows=",\n".join(f"  {row}" for row in rows),
    )
