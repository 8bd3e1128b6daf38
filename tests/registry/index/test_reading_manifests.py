"""A manifest may take a second to read; whoever reads one holds up no other look-up."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

import pytest

from parfocal.registry import BaseContract, Contract
from parfocal.registry.errors import IndexCorrupt
from parfocal.registry.index.sqlite.index import SqliteIndex
from parfocal.registry.values import SCHEMA, Manifest, Version

CONTRACT = Contract(BaseContract.unverified("x"), (), False)
READING = Manifest.from_bytes.__code__
LookUp = Callable[[SqliteIndex, str], Version]


@contextmanager
def meanwhile(code: CodeType, act: Callable[[], None]) -> Iterator[None]:
    """Acts whenever this thread begins to run `code`."""

    def watch(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code is code:
            act()

    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize(
    "look_up",
    [
        lambda index, _: index.latest("team/x"),
        lambda index, _: index.version("team/x", 1),
        lambda index, _: index.target("team/x", "prod"),
        lambda index, digest: index.version_with("team/x", digest),
        lambda index, digest: index.find(digest),
    ],
    ids=["latest", "version", "target", "version_with", "find"],
)
def test_other_look_ups_go_on_while_a_manifest_is_read(tmp_path: Path, look_up: LookUp) -> None:
    index = SqliteIndex(tmp_path / "index.sqlite", founding=lambda: None)
    digest = index.add_version("team/x", b"{}").digest
    index.set_alias("team/x", "prod", 1, "")
    went_on = []

    def look_elsewhere() -> None:
        other = threading.Thread(target=index.aliases, args=("team/x",), daemon=True)
        other.start()
        other.join(10)
        went_on.append(not other.is_alive())

    with meanwhile(READING, look_elsewhere), pytest.raises(IndexCorrupt):
        look_up(index, digest)

    assert went_on == [True]


def test_callers_that_want_one_large_manifest_read_it_once(tmp_path: Path) -> None:
    index = SqliteIndex(tmp_path / "index.sqlite", founding=lambda: None)
    large = Manifest(SCHEMA, (), CONTRACT, None, None, ("large",) * 20_000)
    index.add_version("team/x", large.to_bytes())
    reads: list[str] = []
    others = [threading.Thread(target=ask, args=(index, reads)) for _ in range(4)]

    def let_others_ask() -> None:
        reads.append("first")
        for other in others:
            other.start()
        for other in others:
            other.join(0.1)  # time enough to begin, for one whom nothing keeps from it

    with meanwhile(READING, let_others_ask):
        first = index.latest("team/x").manifest
    for other in others:
        other.join()

    assert first == large
    assert reads == ["first"]


def ask(index: SqliteIndex, reads: list[str]) -> None:
    with meanwhile(READING, lambda: reads.append("another")):
        index.latest("team/x")
