"""Plain equations of docstrings, `y = gamma * (x - mean) / sqrt(var + epsilon) + beta`, as LaTeX.

A line may hold several, and words behind them, separated by two spaces or more. What is no equation in Python's grammar
is left as it stands.
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

_GREEK = {"gamma", "beta", "epsilon", "sigma", "mu"}
_PRIME = "_prime"
_BEGINS = re.compile(r"[A-Za-z_][\w']*(\([^()]*\))?\s*(=|<-)\s")
_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: r"\,"}
_RELATIONS = {"=": "=", "<-": r"\leftarrow"}
_WEAK = (ast.Add, ast.Sub)


class Equation(NamedTuple):
    """One equation as LaTeX, and the words behind it."""

    latex: str
    words: str


def equations(text: str) -> list[Equation] | None:
    """Every equation of the text; None if a line of it is something else."""
    found: list[Equation] = []
    for line in text.splitlines():
        if line.strip():
            of_line = _of_line(line)
            if not of_line:
                return None
            found += of_line
    return found or None


def _of_line(line: str) -> list[Equation] | None:
    pieces: list[list[str]] = []
    for part in re.split(r"\s{2,}", line.strip()):
        if not pieces or _BEGINS.match(part):
            pieces.append([part])
        else:
            pieces[-1].append(part)
    found = [_of_parts(parts) for parts in pieces]
    return None if None in found else [equation for equation in found if equation is not None]


def _of_parts(parts: list[str]) -> Equation | None:
    """The longest beginning that is an equation; the rest are words."""
    for end in range(len(parts), 0, -1):
        latex = to_latex(" ".join(parts[:end]))
        if latex is not None:
            return Equation(latex, " ".join(parts[end:]))
    return None


def to_latex(equation: str) -> str | None:
    """One equation as LaTeX; None if it is none."""
    sides = re.fullmatch(r"(.+?)\s*(<-|=)\s*(.+)", equation.strip())
    if sides is None:
        return None
    left, sign, right = sides.groups()
    try:
        trees = [ast.parse(side.replace("'", _PRIME), mode="eval").body for side in (left, right)]
        return f"{_latex(trees[0])} {_RELATIONS[sign]} {_latex(trees[1])}"
    except (SyntaxError, ValueError):
        return None


def _latex(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return _name(node.id)
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return str(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return f"-{_latex(node.operand)}"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        arguments = [_latex(argument) for argument in node.args]
        if node.func.id == "sqrt":
            return rf"\sqrt{{{arguments[0]}}}"
        name = _name(node.func.id) if "_" in node.func.id and len(node.func.id) < 6 else _words(node.func.id)
        return rf"{name}\left({', '.join(arguments)}\right)"
    if isinstance(node, ast.BinOp):
        return _operation(node)
    raise ValueError(f"no equation has a {type(node).__name__}")


def _operation(node: ast.BinOp) -> str:
    if isinstance(node.op, ast.Div):
        return rf"\frac{{{_latex(node.left)}}}{{{_latex(node.right)}}}"
    if isinstance(node.op, ast.Pow):
        return rf"{_within(node.left, strong=True)}^{{{_latex(node.right)}}}"
    if type(node.op) not in _SIGNS:
        raise ValueError(f"no equation has a {type(node.op).__name__}")
    strong = not isinstance(node.op, _WEAK)
    left = _within(node.left, strong)
    right = _within(node.right, strong or isinstance(node.op, ast.Sub))
    return f"{left} {_SIGNS[type(node.op)]} {right}"


def _within(node: ast.expr, strong: bool) -> str:
    weak = isinstance(node, ast.BinOp) and isinstance(node.op, _WEAK)
    return rf"\left({_latex(node)}\right)" if strong and weak else _latex(node)


def _name(name: str) -> str:
    prime = "'" if name.endswith(_PRIME) else ""
    base, _, below = name.removesuffix(_PRIME).partition("_")
    if below and len(base) > 1 and base not in _GREEK and len(below) > 1:
        return f"{_words(f'{base}_{below}')}{prime}"
    head = rf"\{base}" if base in _GREEK else base if len(base) == 1 else _words(base)
    return f"{head}_{{{below if len(below) == 1 else _words(below)}}}{prime}" if below else f"{head}{prime}"


def _words(name: str) -> str:
    return rf"\text{{{name.replace('_', ' ')}}}"
