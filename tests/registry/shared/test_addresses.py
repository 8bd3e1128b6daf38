"""How an index and blobs are named, and what an error says of a name that cannot be used."""

import importlib.util
from pathlib import Path

import pytest

from fakes.registry.publisher import numbered_adapter
from parfocal.registry import Publication, SharedRegistry, StorageAddress, open_registry
from parfocal.registry.blobs.objects import open_bucket
from parfocal.registry.errors import InvalidArgument, NotARegistry


def test_an_index_and_its_blobs_are_one_address() -> None:
    address = StorageAddress.parse("postgresql://me@db/adapters?schema=team&blobs=s3://bucket/prefix")
    assert address == StorageAddress("postgresql://me@db/adapters?schema=team", "s3://bucket/prefix")


@pytest.mark.parametrize("text", ["postgresql://me@db/adapters", "sqlite:///x/index.sqlite?blobs="])
def test_an_index_without_blobs_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"\?blobs=s3://bucket/prefix"):
        open_registry(text)


@pytest.mark.parametrize("blobs", ["folder", "file", "memory"])
def test_a_file_of_names_goes_with_any_blobs(blobs: str, tmp_path: Path, publication: Publication) -> None:
    place = {
        "folder": f"{tmp_path}/b",
        "file": f"file://{tmp_path}/b",
        "memory": f"memory://{tmp_path.name}/b",
    }
    address = StorageAddress.parse(f"sqlite://{tmp_path}/index.sqlite?blobs={place[blobs]}")
    registry = SharedRegistry(address, cache=tmp_path / "cache")
    version = registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    again = SharedRegistry(address, cache=tmp_path / "other-cache")
    assert again.resolve("x") == version
    assert len(list(again.materialise(version.digest).iterdir())) == 2
    assert again.verify().is_sound


def test_a_registry_that_is_not_there_is_not_made_by_who_only_reads(tmp_path: Path) -> None:
    with pytest.raises(NotARegistry):
        open_registry(f"sqlite://{tmp_path}/index.sqlite?blobs={tmp_path}/blobs", create=False)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "name no bucket"),
        ("memory://x?colour=red", "'colour' is not an option"),
        ("s3://me:secret@bucket/x", "no credentials"),
        ("nowhere://bucket/x", "are unknown"),
    ],
)
def test_blobs_that_cannot_be_are_refused(url: str, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said) as refused:
        open_bucket(url)
    assert "secret" not in str(refused.value)


@pytest.mark.skipif(not importlib.util.find_spec("psycopg"), reason="psycopg is not installed")
def test_a_password_is_never_shown() -> None:
    from parfocal.registry.index.postgres import PostgresAddress

    address = PostgresAddress.parse("postgresql://me:secret@db:5433/adapters?sslmode=require&password=hidden")
    assert address.shown == "postgresql://me@db:5433/adapters?sslmode=require"
    assert "secret" not in repr(address)
    assert address.schema == "parfocal"
