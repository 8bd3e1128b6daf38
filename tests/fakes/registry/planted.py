"""Versions that nobody can read, planted in a registry as an earlier or a later Parfocal may leave them."""

import io
import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fakes.registry.publisher import numbered_adapter, small_publication
from parfocal.registry import FolderRegistry
from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.index.sqlite import SqliteIndex
from parfocal.registry.values import Event, dumps

Spoil = Callable[[bytes], bytes]


def _edited(data: bytes, change: Callable[[dict[str, object]], object]) -> bytes:
    fields = json.loads(data)
    change(fields)
    return dumps(fields)


# Each keeps what its version needs readable as text, as every manifest that was ever accepted does.
SPOILS: dict[str, Spoil] = {
    "a number below zero": lambda data: data.replace(b'"block_size":64', b'"block_size":-1'),
    "a field of a later schema": lambda data: _edited(data, lambda fields: fields.update(later=1)),
    "a later schema": lambda data: _edited(data, lambda fields: fields.update(schema=99)),
    "not canonical": lambda data: data.replace(b'":', b'": ', 1),
    "no JSON": lambda data: data[:-1],
    "too many values": lambda data: (
        data[:-1] + b',"x":[' + b",".join([b"[]"] * 600_000) + b"]}"
    ),
}  # fmt: skip


def plant(folder: Path, spoil: Spoil) -> FolderRegistry:
    """A registry with sound versions `x@1`, `x@3` and `y@1`, and with `x@2`, whose manifest `spoil` made.

    `prod` points at `x@1`, `bad` at `x@2`. Index, journal and blobs agree with each other.
    """
    sound = FolderRegistry(folder / "sound")
    publication = small_publication(folder)
    for number in (1, 2, 3):
        sound.publish("x", numbered_adapter(folder, number), publication)
    sound.publish("y", numbered_adapter(folder, 4), publication)
    sound.set_alias("x", "prod", 1)
    sound.set_alias("x", "bad", 2)
    good = sound.resolve("x@2")
    data = spoil(good.manifest_bytes)
    shutil.copytree(folder / "sound" / "blobs", folder / "registry" / "blobs")
    blobs = FolderBlobs(folder / "registry")
    digest = blobs.put(io.BytesIO(data)).digest
    blobs.remove(good.digest)
    index = SqliteIndex(folder / "sound" / "index.sqlite", lambda: None)
    manifests = {**dict(index.manifests()), digest: data}
    events = [_with(event, good.digest, digest) for event in index.events(0, 100)]
    index.close()
    new_index = SqliteIndex(folder / "registry" / "index.sqlite", lambda: None)
    new_index.restore(events, manifests)
    new_index.close()
    blobs.journal.extend(lambda after: events[after:])
    return FolderRegistry(folder / "registry")


def rot_in_the_index(registry: FolderRegistry, name: str, number: int) -> None:
    """Changes a byte of a manifest in the index, in the digest of a file that it names."""
    index = sqlite3.connect(registry.path / "index.sqlite", isolation_level=None)
    index.execute("DROP TRIGGER versions_are_not_changed")
    where = "WHERE name = ? AND version = ?"
    [data] = index.execute(f"SELECT manifest FROM versions {where}", (name, number)).fetchone()
    place = data.rindex(b'"digest":"sha256:', 0, data.index(b"adapter_model.safetensors")) + 20
    rotten = data[:place] + (b"0" if data[place : place + 1] != b"0" else b"1") + data[place + 1 :]
    index.execute(f"UPDATE versions SET manifest = ? {where}", (rotten, name, number))
    index.close()


def _with(event: Event, old: str, new: str) -> Event:
    return replace(event, digest=new) if event.digest == old else event
