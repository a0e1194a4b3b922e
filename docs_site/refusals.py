"""Collects, by reading the code, the words of every refusal: what stands in an error or a reason that a person reads.

A refusal is a call of an error class or of `Skip`, wherever it stands. Of its message the constant parts are kept, with
an ellipsis for what is computed. Where the message is a name or a call of a function of the package, the strings that
the function returns, or that the name is given there, are its words.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docs_site import ROOT

GAP = "…"
FOLDERS = ("keras_norms", "export")
# The classes whose text reaches a person; those that the package catches itself carry the text on.
ERRORS = {
    *("ExportError", "FoldError", "VerificationError", "ConversionError", "UnconvertibleError", "RefusedError"),
    *("NoIntegerFormError", "NoInputFits", "TraceError", "TracedWrong", "PassError", "_SpentError", "_EmptyError"),
    *("ValueError", "TypeError", "NotImplementedError", "UsageError", "BadParameter", "ClickException"),
    *("ProcessLostError", "JobError", "PolicyError"),
}
_REASONS = {"Skip", "skip", "_reason"}
# Functions that say what is wrong with a file, in words that an error takes over.
VERDICTS = {"failure", "_inconclusive", "_inside_failure"}
_DEPTH = 4


@dataclass(frozen=True, order=True)
class Refusal:
    """The words of one refusal, and the module that says them, from the root of the repository."""

    module: str
    words: str


def collect() -> list[Refusal]:
    """Every refusal of the packages, in the order of their modules and lines."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for folder in FOLDERS for path in _modules(folder)}
    readers = {path: _Reader(path.relative_to(ROOT).as_posix(), tree) for path, tree in trees.items()}
    functions: dict[str, list[tuple[_Reader, ast.FunctionDef]]] = defaultdict(list)
    for reader in readers.values():
        for node in ast.walk(reader.tree):
            if isinstance(node, ast.FunctionDef):
                functions[node.name].append((reader, node))
    found: dict[Refusal, None] = {}
    for reader in readers.values():
        reader.functions = functions
        for message, scope in reader.messages():
            found |= dict.fromkeys(r for r in reader.words(message, scope) if _says_something(r.words))
    order = {reader.module: i for i, reader in enumerate(readers.values())}
    return sorted(found, key=lambda refusal: order[refusal.module])


def _says_something(words: str) -> bool:
    return len(words.replace(GAP, "").strip(" '.:,()")) > 8


def _modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


class _Reader:
    """One module, and the functions of all."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self.module, self.tree = module, tree
        self.functions: dict[str, list[tuple[_Reader, ast.FunctionDef]]] = {}

    def messages(self) -> Iterator[tuple[ast.expr, ast.AST]]:
        """The expression of each message, and the function around it."""
        for scope in (self.tree, *_functions(self.tree)):
            for node in _own(scope):
                if isinstance(node, ast.Call) and node.args and _called(node) in ERRORS | _REASONS:
                    yield node.args[0], scope
                elif isinstance(node, ast.Return) and node.value and getattr(scope, "name", "") in VERDICTS:
                    yield node.value, scope

    def words(self, node: ast.expr | None, scope: ast.AST, depth: int = 0) -> list[Refusal]:
        """What a message may say, with a gap for what is not known here."""
        if node is None or depth > _DEPTH:
            return []
        if isinstance(node, (ast.Constant, ast.JoinedStr)):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            texts = [v.value if isinstance(v, ast.Constant) else GAP for v in parts]
            return [Refusal(self.module, "".join(map(str, texts)))] if isinstance(texts[0], str) else []
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            gap = [Refusal(self.module, GAP)]
            left, right = (self.words(side, scope, depth + 1) or gap for side in (node.left, node.right))
            return [Refusal(self.module, a.words + b.words) for a in left for b in right]
        if isinstance(node, (ast.IfExp, ast.BoolOp)):
            parts = [node.body, node.orelse] if isinstance(node, ast.IfExp) else node.values
            return [found for part in parts for found in self.words(part, scope, depth + 1)]
        if isinstance(node, ast.Name):
            return [found for value in self._given(node.id, scope) for found in self.words(value, scope, depth + 1)]
        return self._of_call(node, scope, depth) if isinstance(node, ast.Call) else []

    def _of_call(self, node: ast.Call, scope: ast.AST, depth: int) -> list[Refusal]:
        name = _called(node)
        if name == "format" and isinstance(node.func, ast.Attribute):
            texts = self.words(node.func.value, scope, depth + 1)
            return [Refusal(text.module, re.sub(r"{[^{}]*}", GAP, text.words)) for text in texts]
        found = []
        for reader, function in self.functions.get(name, []):
            for inner in _own(function):
                if isinstance(inner, ast.Return):
                    found += reader.words(inner.value, function, depth + 1)
        return found

    def _given(self, name: str, scope: ast.AST) -> list[ast.expr]:
        """What a name is assigned, in its function or at the top of the module."""
        for place in (scope, self.tree):
            values = [value for node in _own(place) if (value := _assigned(node, name)) is not None]
            if values:
                return values
        return []


def _assigned(node: ast.AST, name: str) -> ast.expr | None:
    """What a statement or expression gives to the name; None if it does not."""
    if not isinstance(node, (ast.Assign, ast.NamedExpr)):
        return None
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return node.value if any(isinstance(target, ast.Name) and target.id == name for target in targets) else None


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def _functions(tree: ast.AST) -> list[ast.AST]:
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of the functions in it."""
    todo = list(ast.iter_child_nodes(scope))
    while todo:
        node = todo.pop(0)
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            todo = [*ast.iter_child_nodes(node), *todo]
