"""The house rules that no linter checks: portions, sizes, names, docstrings, fresh generated code."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import parfocal

ROOT = Path(__file__).resolve().parent.parent
PORTIONS = ("protos", "registry", "server", "training")
FILE_LINES = 260
FUNCTION_LINES = 55
VAGUE_NAMES = {
    "base",
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


def _sources() -> list[Path]:
    folders = [ROOT / folder for folder in (*PORTIONS, "tests")]
    return sorted(path for folder in folders for path in folder.rglob("*.py") if "_pb2" not in path.name)


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


@pytest.fixture(params=_sources(), ids=lambda path: str(path.relative_to(ROOT)))
def source(request: pytest.FixtureRequest) -> Path:
    path = request.param
    assert isinstance(path, Path)
    return path


def test_the_namespace_is_made_of_exactly_the_four_folders() -> None:
    assert getattr(parfocal, "__file__", None) is None
    assert sorted(parfocal.__path__) == sorted(str(ROOT / folder / "parfocal") for folder in PORTIONS)


def test_every_package_declares_its_types() -> None:
    packages = {path.parent for folder in PORTIONS for path in (ROOT / folder / "parfocal").glob("*/*.py")}

    assert [package for package in packages if not (package / "py.typed").is_file()] == []


def test_a_module_says_what_it_is(source: Path) -> None:
    assert ast.get_docstring(ast.parse(source.read_text("utf-8")))


def test_a_file_stays_short(source: Path) -> None:
    assert len(source.read_text("utf-8").splitlines()) <= FILE_LINES


def test_a_function_stays_short(source: Path) -> None:
    functions = _functions(ast.parse(source.read_text("utf-8")))

    assert {
        function.name: _length(function) for function in functions if _length(function) > FUNCTION_LINES
    } == {}


def test_a_module_has_a_telling_name(source: Path) -> None:
    assert source.stem not in VAGUE_NAMES


def test_the_generated_code_is_fresh() -> None:
    check = subprocess.run(
        [sys.executable, ROOT / "protos" / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (check.returncode, check.stderr) == (0, "")
