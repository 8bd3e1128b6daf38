"""The house rules that no linter checks: portions, sizes, names, docstrings, fresh generated code."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import parfocal

ROOT = Path(__file__).resolve().parent.parent
PORTIONS = ("protos", "registry", "server", "training")
FILE_LINES = 300
FUNCTION_LINES = 55
VAGUE_NAMES = {
    "common",
    "core",
    "handler",
    "handlers",
    "helper",
    "helpers",
    "manager",
    "misc",
    "util",
    "utils",
}


SOURCES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for folder in (*PORTIONS, "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "_pb2" not in path.name
}


def _functions(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    nodes = ast.walk(ast.parse(text))
    return (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def test_the_namespace_is_made_of_exactly_the_four_folders() -> None:
    assert getattr(parfocal, "__file__", None) is None
    assert sorted(parfocal.__path__) == sorted(str(ROOT / folder / "parfocal") for folder in PORTIONS)


def test_every_package_declares_its_types() -> None:
    packages = {path.parent for folder in PORTIONS for path in (ROOT / folder / "parfocal").glob("*/*.py")}

    assert [package for package in packages if not (package / "py.typed").is_file()] == []


def test_every_module_says_what_it_is() -> None:
    assert [name for name, text in SOURCES.items() if not ast.get_docstring(ast.parse(text))] == []


def test_files_stay_short() -> None:
    lengths = {name: len(text.splitlines()) for name, text in SOURCES.items()}

    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES} == {}


def test_functions_stay_short() -> None:
    lengths = {
        f"{name}: {node.name}": _length(node) for name, text in SOURCES.items() for node in _functions(text)
    }

    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}


def test_modules_have_telling_names() -> None:
    assert [name for name in SOURCES if Path(name).stem in VAGUE_NAMES] == []


def test_the_generated_code_is_fresh() -> None:
    check = subprocess.run(
        [sys.executable, ROOT / "protos" / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (check.returncode, check.stderr) == (0, "")
