"""Several processes on one PostgreSQL and one bucket, one of them killed, and a collector among them."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from fakes.registry.shared_writer import ALIAS, NAME, WriterOrder
from parfocal.registry import SharedRegistry, StorageAddress, every_item


def begun(address: StorageAddress, folder: Path, first: int) -> "subprocess.Popen[str]":
    folder.mkdir()
    order = WriterOrder(address.index, address.blobs, str(folder), first, threads=2, count=4)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(order.command(), stdout=subprocess.PIPE, text=True, env=environment)


def test_writers_collectors_and_a_death_leave_one_whole_history(
    shared_address: StorageAddress, tmp_path: Path
) -> None:
    registry = SharedRegistry(shared_address, cache=tmp_path / "cache")
    with (
        begun(shared_address, tmp_path / "one", 1) as one,
        begun(shared_address, tmp_path / "two", 100) as two,
    ):
        assert one.stdout is not None and two.stdout is not None
        told = [one.stdout.readline() for _ in range(3)]
        one.kill()
        told += one.stdout.readlines()
        for line in two.stdout:
            told.append(line)
            registry.collect_garbage(grace_s=0.0, most=True)
        assert two.wait(60) == 0
    acknowledged = [json.loads(line) for line in told if line.endswith("\n")]

    versions = {v.version: v.digest for v in every_item(lambda token: registry.versions(NAME, 0, token))}
    assert sorted(versions) == list(range(1, len(versions) + 1))
    published = {each["published"]: each["digest"] for each in acknowledged if "published" in each}
    assert len(published) >= 8 and published.items() <= versions.items()
    moves = registry.alias_history(NAME, ALIAS)[::-1]
    assert all(before.version == after.previous_version for before, after in pairwise(moves))
    steps = {(move.previous_version, move.version) for move in moves}
    assert {(each["expected"], each["moved"]) for each in acknowledged if "moved" in each} <= steps
    assert registry.verify().is_sound
