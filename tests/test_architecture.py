"""The page about the house names every room, and only files that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / ".github" / "ARCHITECTURE.md"
PORTIONS = ("protos", "registry", "server", "training")
# How the walks shorten the paths of floors.
SHORT = {
    "engine": "server/parfocal/engine",
    "server": "server/parfocal/server",
    "registry": "registry/parfocal/registry",
    "training": "training/parfocal/training",
}
_TABLE = re.compile(r"^\| `([a-z_/]+)/` \|.*\n\|---.*\n((?:\|.*\n)+)", re.MULTILINE)
_QUOTED = re.compile(r"`([a-z0-9_./]+)`")


def _rooms() -> set[str]:
    """Every folder with a face, as a path from the repository's root, but for whole floors."""
    faces = (path for top in PORTIONS for path in (ROOT / top / "parfocal").rglob("__init__.py"))
    folders = {str(face.parent.relative_to(ROOT)) for face in faces}
    return {folder for folder in folders if folder.count("/") > 2 or folder.startswith("protos/")}


def _named() -> set[str]:
    named = set()
    for floor, rows in _TABLE.findall(PAGE.read_text("utf-8")):
        named |= {f"{floor}/{room}" for room in _QUOTED.findall(rows)}
    return named


def test_the_page_names_every_room() -> None:
    assert sorted(_rooms() - _named()) == []


def _is_there(path: str) -> bool:
    floor, _, rest = path.partition("/")
    return (ROOT / path).exists() or (ROOT / SHORT.get(floor, floor) / rest).exists()


def test_the_page_names_no_file_that_is_gone() -> None:
    quoted = _QUOTED.findall(PAGE.read_text("utf-8"))
    paths = [path for path in quoted if "/" in path and path.endswith((".py", ".cpp", "/"))]

    assert [path for path in paths if not _is_there(path)] == []
