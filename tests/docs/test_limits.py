"""The budget of CONTRIBUTING.md: short functions, short modules, docstring examples that run."""

import ast
import doctest
from pathlib import Path

import pytest

import snapdb
import snapdb.archive.connect

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(p for top in ("snapdb", "cli", "migrations") for p in (ROOT / top).rglob("*.py"))


def body_length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function below its signature and docstring."""
    body = node.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_modules_have_at_most_400_lines() -> None:
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text().splitlines())) > 400}
    assert not long


def test_functions_have_at_most_40_lines() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in SOURCES
        if "versions" not in path.parts  # a migration is a list of tables
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_length(node) > 40
    ]
    assert not long


@pytest.mark.parametrize("module", [snapdb, snapdb.archive.connect], ids=lambda m: m.__name__)
def test_examples_in_docstrings_run(module: object, tmp_path: Path) -> None:
    found = doctest.testmod(module, extraglobs={"tmp_path": tmp_path})  # type: ignore[arg-type]
    assert found.attempted > 0
    assert found.failed == 0
