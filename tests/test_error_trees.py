"""A tree that a module of errors draws is that of its classes: each under its parent, with its status."""

import ast
import importlib
import inspect
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_LINE = re.compile(r"^(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)\s*(?P<status>…|[A-Z_]{6,})?(\s|$)")
_INDENT = 4


@dataclass(frozen=True)
class Told:
    """What a tree says of a class; `status` is empty where it says nothing."""

    name: str
    parent: str
    status: str


def told_by(docstring: str) -> list[Told]:
    """Returns the classes of the tree that a module's docstring draws, from its root on."""
    above: list[str] = []
    found: list[Told] = []
    for line in docstring.splitlines():
        match = _LINE.match(line)
        if match is None or not (match["branch"] or match["name"].endswith("Error")):
            continue
        depth = len(match["branch"]) // _INDENT
        status = match["status"] or ""
        if status == "…":
            status = next((one.status for one in found if one.name == above[depth - 1]), "")
        above = [*above[:depth], match["name"]]
        found.append(Told(match["name"], above[depth - 1] if depth else "", status))
    return found


def modules() -> list[str]:
    """Returns every module of errors that draws a tree."""
    found = []
    for portion in ("protos", "registry", "server", "training"):
        for path in sorted((ROOT / portion / "parfocal").rglob("errors.py")):
            if "├──" in (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""):
                found.append(".".join(path.relative_to(ROOT / portion).with_suffix("").parts))
    return found


@pytest.mark.parametrize("name", modules())
def test_a_tree_of_errors_is_the_tree_of_its_classes(name: str) -> None:
    module = importlib.import_module(name)
    told = {one.name: one for one in told_by(module.__doc__ or "")}
    root = next(iter(told))
    classes = {
        each.__name__: each
        for _, each in inspect.getmembers(module, inspect.isclass)
        if each.__module__ == name and issubclass(each, getattr(module, root))
    }

    assert told.keys() == classes.keys()
    assert {each: one.parent for each, one in told.items() if one.parent} == {
        each: one.__mro__[1].__name__ for each, one in classes.items() if each != root
    }
    stated = {each: one.status for each, one in told.items() if one.status}
    assert stated == {each: getattr(classes[each], "status", "") for each in stated}


def test_a_tree_is_read_with_its_parents_and_its_statuses() -> None:
    tree = """
    RootError
    ├── First            NOT_FOUND    a reason
    │   └── Below        …            the same status
    └── Second                        nothing of a status
    """

    assert told_by(inspect.cleandoc(tree)) == [
        Told("RootError", "", ""),
        Told("First", "RootError", "NOT_FOUND"),
        Told("Below", "First", "NOT_FOUND"),
        Told("Second", "RootError", ""),
    ]
