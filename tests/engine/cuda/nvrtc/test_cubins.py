"""Compiled kernels are kept on disk, whole or not at all, and compiled again when anything has changed."""

import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from parfocal.engine.backends.cuda.nvrtc import Builder, Cubins, Source, Target, cubins_home
from parfocal.engine.backends.cuda.nvrtc import cubins as cubins_module


class Counting:
    """A compiler whose cubins tell what they were made of."""

    def __init__(self, name: str = "counting 1.0") -> None:
        self.name = name
        self.count = 0

    def compile(self, source: Source, options: Sequence[str]) -> bytes:
        self.count += 1
        return b" ".join([source.text, *source.headers.values(), *(option.encode() for option in options)])


ADA, HOPPER = Target((8, 9), 100 << 10), Target((9, 0), 228 << 10)
SOURCE = Source("a.cu", b"text", {"b.cuh": b"header"})


def cubin(
    compiler: Counting,
    folder: Path | None,
    source: Source = SOURCE,
    target: Target = ADA,
    option: str = "-DA=1",
) -> bytes:
    return Builder(Cubins(folder), lambda: compiler).cubin(source, target, [option])


def test_a_second_start_compiles_nothing(tmp_path: Path) -> None:
    first, second = Counting(), Counting()

    made = cubin(first, tmp_path / "kernels")
    assert made == b"text header --gpu-architecture=sm_89 --std=c++17 -DA=1"
    assert cubin(second, tmp_path / "kernels") == made
    assert (first.count, second.count) == (1, 0)


def test_whatever_a_kernel_is_made_of_makes_it_another_one(tmp_path: Path) -> None:
    cubin(Counting(), tmp_path)
    others = [
        cubin(Counting("counting 1.1"), tmp_path),
        cubin(Counting(), tmp_path, source=Source("a.cu", b"text 2", SOURCE.headers)),
        cubin(Counting(), tmp_path, source=Source("a.cu", b"text", {"b.cuh": b"header 2"})),
        cubin(Counting(), tmp_path, source=Source("a.cu", b"text", {"c.cuh": b"header"})),
        cubin(Counting(), tmp_path, target=HOPPER),
        cubin(Counting(), tmp_path, option="-DA=2"),
    ]
    assert len(list(tmp_path.iterdir())) == 1 + len(others)


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 100])
def test_a_damaged_entry_is_compiled_again(
    damage: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    compiler = Counting()
    made = cubin(compiler, tmp_path)
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(damage)

    assert cubin(compiler, tmp_path) == made
    assert compiler.count == 2
    assert "damaged" in caplog.text
    assert cubin(compiler, tmp_path) == made
    assert compiler.count == 2


@pytest.mark.parametrize("has_home", [False, True])
def test_where_nothing_can_be_kept_every_start_compiles(
    has_home: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    compiler = Counting()
    for count in (1, 2):
        assert cubin(compiler, tmp_path / "file" / "kernels" if has_home else None).startswith(b"text")
        assert compiler.count == count
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


# Reads the module from its file: all that its package imports would take seconds.
KILLED = """
import importlib.util, os, signal, sys
from pathlib import Path

spec = importlib.util.spec_from_file_location("cubins", sys.argv[1])
cubins = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cubins)
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
for folder in sys.argv[2:]:
    if os.fork() == 0:
        cubins.Cubins(Path(folder)).put("key", b"new" * 1000)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_process_killed_while_it_writes_leaves_the_old_entry_or_none(tmp_path: Path) -> None:
    full, empty = tmp_path / "full", tmp_path / "empty"
    Cubins(full).put("key", b"old")

    told = [str(cubins_module.__file__), str(full), str(empty)]
    done = subprocess.run([sys.executable, "-c", KILLED, *told], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["-9", "-9"]
    for folder, left in ((full, b"old"), (empty, None)):
        assert Cubins(folder).get("key") == left
        Cubins(folder).put("key", b"new")
        assert Cubins(folder).get("key") == b"new"


def test_kernels_are_kept_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cubins_home() == tmp_path / "parfocal" / "kernels"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cubins_home() == Path.home() / ".cache" / "parfocal" / "kernels"
