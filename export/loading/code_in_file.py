"""Python code that a file holds: the functions of Lambda layers, as bytecode of the Python that wrote it.

It is run on the user's word only, `unsafe=True`. Bytecode does not say of which Python it is, and another one would run
something else, or crash: so it is taken only where every instruction in it is as this Python writes it.
"""

from __future__ import annotations

import base64
import binascii
import dis
import marshal
import sys
from types import CodeType, FunctionType
from typing import Any

from ..errors import ExportError
from ..report.load_report import Translated
from .config_tree import Entry, name_of

_PYTHON = ".".join(str(number) for number in sys.version_info[:2])
REFUSED = (
    "which is not run from an untrusted file. If you trust it, unsafe=True (--unsafe on the command) runs it, in the "
    "version of Python that wrote it"
)
GIVEN = "function_given"  # in the entry of a Lambda layer: its function is among the custom objects


def run_on_your_word(name: str) -> Translated:
    """What the report says of a layer or model whose code was run."""
    return Translated(name, "Python code in the file", "it was run, on your word: unsafe=True", "as it runs")


def give_function(entry: Entry, custom: dict[str, Any], unsafe: bool) -> bool:
    """Let a Lambda layer of Keras 1 or 2 call its function: the user's, or the one in the file, added to `custom`.

    Returns:
        Whether code in the file will run.

    Raises:
        ExportError: If its code may not be run, or if this Python cannot run it.
    """
    config = entry["config"]
    if entry["class_name"] != "Lambda" or not isinstance(config, dict):
        return False
    name, written = name_of(entry), _written(config.get("function"))
    stated = name if written else _named(config.get("function"))
    key = next((each for each in (name, stated) if each in custom), None)
    yours = f"custom_objects={{'{stated}': the function}} (--import FILE.py on the command)"
    if key is None and written is None:
        raise ExportError(f"layer '{name}' is a Lambda of '{stated}', which is not in the file. Pass it, {yours}")
    if key is None and written is not None:
        if not unsafe:
            raise ExportError(f"layer '{name}' is a Lambda: the file holds its Python code, {REFUSED}. Or give {yours}")
        key = f"{name} (code in the file)"
        custom[key] = _function(
            *written, _modules(config.get("module")) | custom, f"layer '{name}' is a Lambda: its code"
        )
    config["function"] = {"module": "builtins", "class_name": "function", "config": key, "registered_name": key}
    entry[GIVEN] = True
    _without_shapes(config)
    return key not in (name, stated)


def _without_shapes(config: dict[str, Any]) -> None:
    """Keras 3 tells the shape of the output by running the function."""
    for key in ("function_type", "module", "output_shape", "output_shape_type", "output_shape_module"):
        config.pop(key, None)
    for key in ("mask", "mask_type", "mask_module"):
        if config.get(key) is None:
            config.pop(key, None)


def _written(function: Any) -> tuple[str, Any, Any] | None:
    """The code of a function, its defaults and its closure, where the file holds them."""
    if isinstance(function, dict) and function.get("class_name") == "__lambda__":
        inner = function["config"]
        return str(inner["code"]), inner.get("defaults"), inner.get("closure")
    if isinstance(function, list) and len(function) == 3 and isinstance(function[0], str):
        return function[0], function[1], function[2]
    return None


def _named(function: Any) -> str:
    return str(function.get("config") if isinstance(function, dict) else function)


def _function(text: str, defaults: Any, closure: Any, known: dict[str, Any], what: str) -> FunctionType:
    code = code_of(text, what)
    if len(code.co_freevars) != len(closure or ()):
        raise ExportError(f"{what} uses variables from around it, which are not in the file")
    cells = tuple(_cell(value) for value in closure or ())
    arguments = tuple(defaults) if defaults else None
    made = FunctionType(code, known, code.co_name, arguments, cells or None)
    made.__name__ = "<lambda>"  # so that Keras writes its code again
    return made


def _cell(value: Any) -> Any:
    return (lambda: value).__closure__[0]  # type: ignore[index]


def _modules(module: Any) -> dict[str, Any]:
    """What such code calls by the names that everybody gives it, and what its own module holds, as Keras 2 had it."""
    import keras
    import numpy
    import tensorflow
    from keras.src.legacy import backend

    own = vars(sys.modules[module]) if module in sys.modules and module != "__main__" else {}
    return {"tf": tensorflow, "np": numpy, "numpy": numpy, "keras": keras, "K": backend, "backend": backend, **own}


def code_of(text: str, what: str) -> CodeType:
    """The code object in a text.

    Raises:
        ExportError: If it is not bytecode of this Python; it begins with `what`.
    """
    try:
        code = marshal.loads(base64.b64decode(text, validate=False))
    except (binascii.Error, ValueError, EOFError, TypeError):
        code = None
    if not isinstance(code, CodeType) or not _of_this_python(code):
        raise ExportError(
            f"{what} is the bytecode of another Python than this one, {_PYTHON}, and no other can run it. Load the "
            "file with the version that wrote it, or give the function in custom_objects, by the name of the layer "
            "(--import FILE.py on the command)"
        )
    return code


def _of_this_python(code: CodeType) -> bool:
    """Whether every instruction is one of this Python, with the space behind it that this Python leaves."""
    try:
        instructions = list(dis.get_instructions(code))
        written_here = _has_marks(code, instructions)
    except (IndexError, KeyError, ValueError, TypeError):
        return False
    within = [each for each in code.co_consts if isinstance(each, CodeType)]
    known = bool(instructions) and not any(each.opname.startswith("<") for each in instructions)
    return known and written_here and all(_of_this_python(each) for each in within)


def _has_marks(code: CodeType, instructions: list[dis.Instruction]) -> bool:
    """What versions differ in: where lines are noted, RESUME at the start, and zeros in or behind instructions."""
    if sys.version_info < (3, 11):
        bare = [each for each in instructions if each.opcode < dis.HAVE_ARGUMENT]
        all_lines = sum(code.co_linetable[::2]) == len(code.co_code)  # until 3.9 it told of changes of the line alone
        return all_lines and all(code.co_code[each.offset + 1] == 0 for each in bare)
    if not any(each.opname == "RESUME" for each in instructions[:5]):
        return False
    if sys.version_info < (3, 13):
        spaces = [each for each in dis.get_instructions(code, show_caches=True) if each.opname == "CACHE"]
        return all(code.co_code[each.offset] == 0 for each in spaces)
    return all(not any(data) for each in instructions for _, _, data in each.cache_info or ())


def check_code(config: Any) -> bool:
    """Check the functions in a config of Keras 3; say whether there are any.

    Raises:
        ExportError: If one is not bytecode of this Python.
    """
    stack, found = [config], False
    while stack:
        node = stack.pop()
        if isinstance(node, dict) and node.get("class_name") == "__lambda__" and isinstance(node.get("config"), dict):
            found = True
            code_of(str(node["config"].get("code")), "it holds a Lambda layer, whose code")
        stack += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return found
