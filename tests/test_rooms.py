"""The rules of rooms: a face for each, files of others left alone, no folder too full to take in."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORTIONS = ("protos", "registry", "server", "training")
MODULES_PER_FOLDER = 20

# Modules that are entered directly because their floor's face must stay light: torch or gRPC comes with them.
ENTRANCES = {
    "parfocal.bench.stand",
    "parfocal.server.assembly",
    "parfocal.server.doors",
    "parfocal.server.registry_process",
}

# Rooms without a face of names: generated code, and commands that only the assembled command line reads.
OPEN = {"parfocal.v1", "parfocal.cli.commands"}


def _modules() -> dict[str, tuple[Path, bool]]:
    """Maps each module's name to its file and whether it is a face."""
    found = {}
    for portion in PORTIONS:
        for path in sorted((ROOT / portion / "parfocal").rglob("*.py")):
            parts = path.relative_to(ROOT / portion).with_suffix("").parts
            is_face = parts[-1] == "__init__"
            found[".".join(parts[:-1] if is_face else parts)] = (path, is_face)
    return found


MODULES = _modules()
FACES = {name: path for name, (path, is_face) in MODULES.items() if is_face}


def _imports(path: Path) -> Iterator[ast.ImportFrom]:
    tree = ast.parse(path.read_text("utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))


def _is_inside(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def _strangers() -> Iterator[str]:
    """Yields every import of a room's file from outside that room."""
    for name, (path, is_face) in MODULES.items():
        where = name if is_face else name.rpartition(".")[0]
        for node in _imports(path):
            target = node.module or ""
            room = target.rpartition(".")[0]
            is_file = target in MODULES and target not in FACES
            if (
                is_file
                and target not in ENTRANCES | OPEN
                and room not in OPEN
                and not _is_inside(where, room)
            ):
                yield f"{name}: from {target} import {', '.join(alias.name for alias in node.names)}"


def test_code_outside_a_room_imports_from_its_face() -> None:
    assert sorted(_strangers()) == []


def test_every_room_says_in_one_sentence_what_lives_there() -> None:
    silent = [
        name for name, path in FACES.items() if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]

    assert silent == []


def test_a_face_names_what_it_gives() -> None:
    unnamed = []
    for name, path in FACES.items():
        tree = ast.parse(path.read_text("utf-8"))
        given = any(isinstance(node, ast.ImportFrom) for node in tree.body)
        named = any(
            isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" for node in tree.body
        )
        if given and not named:
            unnamed.append(name)

    assert unnamed == []


def test_no_folder_holds_more_modules_than_one_takes_in_at_a_glance() -> None:
    folders = Counter(
        str(path.parent.relative_to(ROOT))
        for top in (*PORTIONS, "tests")
        for path in (ROOT / top).rglob("*.py")
        if "_pb2" not in path.name and path.name != "__init__.py"
    )

    assert {folder: count for folder, count in folders.items() if count > MODULES_PER_FOLDER} == {}


def test_imports_are_absolute() -> None:
    relative = [name for name, (path, _) in MODULES.items() if any(node.level for node in _imports(path))]

    assert relative == []
