"""The house rules that no linter checks: portions, sizes, names, docstrings, fresh generated code."""

import ast
import functools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import parfocal
from lanes import slow_files

ROOT = Path(__file__).resolve().parent.parent
PORTIONS = ("protos", "registry", "server", "training")
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
    for folder in (*PORTIONS, "tests", "deploy")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "_pb2" not in path.name
}


@dataclass(frozen=True)
class Function:
    """How long a function is, and the reason that it states for it."""

    lines: int
    reason: str


@dataclass(frozen=True)
class Outline:
    """What the rules ask of a file."""

    is_documented: bool
    functions: Mapping[str, Function]


@dataclass(frozen=True)
class Limit:
    """How long something may be without a word, and what to do about it."""

    lines: int
    advice: str

    def excess(self, lengths: Mapping[str, int], reasons: Mapping[str, str]) -> list[str]:
        """Returns a line of advice for everything that is longer and states no reason."""
        return [
            f"{name} has {lines} lines, more than {self.lines}: {self.advice}; "
            "or say in it why it must be so long: # size: REASON"
            for name, lines in lengths.items()
            if lines > self.lines and not reasons.get(name)
        ]


FILES = Limit(400, "split it where one half could be described without the other")
FUNCTIONS = Limit(60, "give the steps that a reader would name a function each")
MODULES = 20


@functools.cache
def outlines() -> Mapping[str, Outline]:
    """Reads every file; no tree outlives its outline, for the collector would go through all of them."""
    return {name: _outline(name, text) for name, text in SOURCES.items()}


def _outline(name: str, text: str) -> Outline:
    tree = ast.parse(text)
    return Outline(ast.get_docstring(tree) is not None, dict(_functions(name, tree, text.splitlines())))


def _functions(name: str, tree: ast.Module, lines: Sequence[str]) -> Iterator[tuple[str, Function]]:
    """Yields the functions of a file with their places."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own = lines[node.lineno - 1 : node.end_lineno]
            yield f"{name}:{node.lineno} {node.name}", Function(len(own), _reason("\n".join(own)))


def _reason(text: str) -> str:
    """Returns the reason that a text states for its size, if any."""
    stated = re.search(r"^\s*# size: (\S.*)$", text, re.MULTILINE)
    return stated[1] if stated else ""


def test_the_namespace_is_made_of_exactly_the_four_folders() -> None:
    assert getattr(parfocal, "__file__", None) is None
    assert sorted(parfocal.__path__) == sorted(str(ROOT / folder / "parfocal") for folder in PORTIONS)


def test_every_package_declares_its_types() -> None:
    packages = {path.parent for folder in PORTIONS for path in (ROOT / folder / "parfocal").glob("*/*.py")}

    assert [package for package in packages if not (package / "py.typed").is_file()] == []


def test_every_module_says_what_it_is() -> None:
    assert [name for name, outline in outlines().items() if not outline.is_documented] == []


def test_files_stay_short_or_say_why() -> None:
    lengths = {name: len(text.splitlines()) for name, text in SOURCES.items()}
    advice = FILES.excess(lengths, {name: _reason(text) for name, text in SOURCES.items()})

    assert not advice, "\n".join(advice)


def test_functions_stay_short_or_say_why() -> None:
    found = {place: one for outline in outlines().values() for place, one in outline.functions.items()}
    lengths = {place: function.lines for place, function in found.items()}
    advice = FUNCTIONS.excess(lengths, {place: function.reason for place, function in found.items()})

    assert not advice, "\n".join(advice)


def test_a_stated_reason_is_accepted_and_an_empty_one_is_not() -> None:
    lengths = {"long.py": FILES.lines + 1, "short.py": FILES.lines}

    (advice,) = FILES.excess(lengths, {"long.py": _reason("x = 1\n# size:\n")})
    assert advice.startswith(f"long.py has {FILES.lines + 1} lines")
    assert (
        FILES.excess(lengths, {"long.py": _reason("    # size: one table that is read as a whole\n")}) == []
    )


def test_no_folder_is_a_heap() -> None:
    heaps = Counter(str(Path(name).parent) for name in SOURCES if not Path(name).name.startswith("__"))
    crowded = {folder: count for folder, count in heaps.items() if count > MODULES and _is_a_room(folder)}

    assert not crowded, f"make rooms in {crowded}: a reader keeps about {MODULES} modules in mind"


def _is_a_room(folder: str) -> bool:
    """Tests are found by the name of what they test, fakes by what they stand in for."""
    return not folder.startswith("tests") or folder.startswith("tests/bench")


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


def test_the_slow_lane_lists_files_that_are_there() -> None:
    assert [str(path) for path in slow_files() if not path.is_file()] == []
