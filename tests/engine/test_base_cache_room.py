"""The cache of bases stays within its bytes, and nothing that is served leaves, whoever asks."""

import fcntl
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine import BaseCache
from parfocal.engine.base_cache import SEAL


def put(root: Path, key: str, size: int = 1000, used_at: float = 0) -> None:
    """Writes a base of about `size` bytes that was served at `used_at`."""
    folder = root / key
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(size))
    facts = {"files": [["w", f"/models/{key}/w", 1, 1, 1]], "recipe": "{}", "device": "cpu"}
    (folder / SEAL).write_text(json.dumps({"base": f"org/{key}", "facts": facts}))
    os.utime(folder / SEAL, (used_at, used_at))


def keys(root: Path) -> list[str]:
    """Returns what is there, by name."""
    return sorted(path.name for path in root.iterdir())


def test_an_absent_folder_holds_nothing(tmp_path: Path) -> None:
    assert BaseCache(tmp_path / "nowhere", 0).bases() == []
    assert BaseCache(tmp_path / "nowhere", 0).make_room() == []


def test_bases_are_listed_with_what_people_know_them_by(tmp_path: Path) -> None:
    put(tmp_path, "old", used_at=10)
    put(tmp_path, "new", used_at=20)

    new, old = BaseCache(tmp_path).bases()

    assert (new.key, new.name, new.dtype, new.device) == ("new", "org/new", "float32", "cpu")
    assert (old.used_at, old.is_served) == (10, False)
    assert 1000 < old.size_bytes < 1500


@pytest.mark.parametrize("seal", ["", "[]", "{}", '{"facts": {"files": []}}', '{"facts": null}', "\x00"])
def test_a_seal_that_says_nothing_stops_nobody(tmp_path: Path, seal: str) -> None:
    put(tmp_path, "good")
    put(tmp_path, "odd")
    (tmp_path / "odd" / SEAL).write_text(seal)

    names = {base.key: base.name for base in BaseCache(tmp_path).bases()}

    assert names["good"] == "org/good"
    assert names.get("odd", "unknown") == "unknown"


def test_the_least_recently_served_leave_first(tmp_path: Path) -> None:
    for place, key in enumerate(("a", "b", "c", "d")):
        put(tmp_path, key, used_at=100 + place)
    cache = BaseCache(tmp_path, 2500)
    cache.use("a")

    assert [base.key for base in cache.make_room()] == ["b", "c"]
    assert keys(tmp_path) == ["a", "d"]


def test_what_is_served_stays_although_it_alone_is_too_large(tmp_path: Path) -> None:
    put(tmp_path, "huge", size=10_000)
    cache = BaseCache(tmp_path, 1)
    cache.use("huge")

    assert cache.make_room() == []
    assert not BaseCache(tmp_path).remove("huge")
    cache.close()
    assert BaseCache(tmp_path).remove("huge")
    assert keys(tmp_path) == []


def test_what_another_process_serves_stays_until_it_ends_in_whatever_way(tmp_path: Path) -> None:
    put(tmp_path, "theirs", used_at=1)
    put(tmp_path, "mine", used_at=2)
    # A server keeps its cache open to its end.
    serving = (
        "import sys, pathlib\n"
        "from parfocal.engine import BaseCache\n"
        "cache = BaseCache(pathlib.Path(sys.argv[1]))\n"
        "print(cache.use('theirs'), flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", serving, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "True\n"
        cache = BaseCache(tmp_path, 0)
        assert [base.is_served for base in cache.bases() if base.key == "theirs"] == [True]
        assert [base.key for base in cache.make_room()] == ["mine"]
        other.kill()

    assert [base.key for base in cache.make_room()] == ["theirs"]


def test_a_base_that_is_not_there_cannot_be_used(tmp_path: Path) -> None:
    cache = BaseCache(tmp_path)

    assert not cache.use("nothing")
    assert cache.remove("nothing")


@given(
    sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=6),
    served=st.sets(st.integers(0, 5)),
    capacity=st.integers(0, 20_000),
)
def test_room_is_made_as_far_as_it_must_and_may(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], served: set[int], capacity: int
) -> None:
    root = tmp_path_factory.mktemp("bases")
    for place, size in enumerate(sizes):
        put(root, f"base-{place}", size, used_at=place)
    server = BaseCache(root)
    used = {f"base-{place}" for place in served if place < len(sizes)}
    assert all(server.use(key) for key in used)

    BaseCache(root, capacity).make_room()

    left = server.bases()
    assert used <= {base.key for base in left}
    free = [base for base in left if not base.is_served]
    assert not free or sum(base.size_bytes for base in left) <= capacity
    server.close()


def test_servers_that_start_at_once_agree(tmp_path: Path) -> None:
    for place in range(8):
        put(tmp_path, f"base-{place}", used_at=place)

    def start(number: int) -> bool:
        cache = BaseCache(tmp_path, 2000)
        is_there = cache.use(f"base-{number % 8}")
        cache.make_room()
        stays = not is_there or (tmp_path / f"base-{number % 8}" / SEAL).is_file()
        cache.close()
        return stays

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(start, range(64)))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_whoever_holds_the_lock_of_a_base_for_ever_holds_up_no_server(tmp_path: Path) -> None:
    """Any user who may read a shared cache may lock its files; the base is then loaded as if anew."""
    put(tmp_path, "held")
    with (tmp_path / "held" / SEAL).open("rb") as seal:
        fcntl.flock(seal, fcntl.LOCK_EX)

        assert BaseCache(tmp_path).use("held") is False

    assert BaseCache(tmp_path).use("held") is True
