"""Small bases, adapters and registries for the tests of the registry."""

import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.registry.bucket_server import KEYS, BucketServer, bucket_server, why_no_bucket
from fakes.registry.memory_blobs import MemoryBlobs
from fakes.registry.memory_index import MemoryIndex
from fakes.registry.peft_folders import Adapter, write_adapter, write_base
from fakes.registry.postgres_server import PostgresServer, postgres_server, why_no_postgres
from fakes.registry.registry_client import Client, Parts, publication_parts
from fakes.registry.registry_server import serving
from parfocal.registry import (
    BaseContract,
    FolderRegistry,
    Publication,
    Registry,
    StorageAddress,
    StoredRegistry,
    describe_base,
    locate_base,
)
from parfocal.registry.blobs import BlobStore, FolderBlobs
from parfocal.registry.blobs.objects import ObjectBlobs, open_bucket
from parfocal.registry.copies import LocalCopies
from parfocal.registry.index import Index
from parfocal.registry.index.sqlite import SqliteIndex
from parfocal.registry.remote import RemoteRegistry
from parfocal.rpc import open_blocking_channel
from parfocal.v1.registry_service_pb2_grpc import RegistryServiceStub


@pytest.fixture
def base(tmp_path: Path) -> BaseContract:
    return describe_base(locate_base(str(write_base(tmp_path / "small-base")), weights=False))


@pytest.fixture
def publication(base: BaseContract) -> Publication:
    return Publication(base)


@pytest.fixture
def adapter(tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that writes an adapter with these fields and returns its folder."""

    def write(**fields: object) -> Path:
        count = len(list(tmp_path.glob("adapter-*")))
        return write_adapter(tmp_path / f"adapter-{count}", Adapter(**fields))  # type: ignore[arg-type]

    return write


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    return FolderRegistry(tmp_path / "registry")


@pytest.fixture
def remote(registry: FolderRegistry, tmp_path: Path) -> Iterator[RemoteRegistry]:
    """The same registry, through a real server."""
    with serving(registry, tmp_path / "uploads") as address:
        yield RemoteRegistry(f"grpc://{address}", cache=tmp_path / "cache")


# Every pair of an index and a store of blobs. A new implementation of either is one line more.
Storages = dict[str, Callable[[Path], tuple[Index, BlobStore]]]
STORAGES: Storages = {
    "SQLite, folder": lambda path: (SqliteIndex(path / "index.sqlite", lambda: None), FolderBlobs(path)),
    "SQLite, memory": lambda path: (SqliteIndex(path / "index.sqlite", lambda: None), MemoryBlobs()),
    "memory, folder": lambda path: (MemoryIndex(), FolderBlobs(path)),
    "memory, memory": lambda path: (MemoryIndex(), MemoryBlobs()),
}


# Both over the network; each needs a server of its own.
SHARED = "PostgreSQL, S3"


def stored(kind: str, path: Path) -> StoredRegistry:
    path.mkdir()
    return StoredRegistry(str(path), *STORAGES[kind](path), [LocalCopies(path)])


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server."""
    if why := why_no_postgres():
        pytest.skip(why)
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def bucket_host() -> Iterator[BucketServer]:
    """An S3 server, and its keys in the environment."""
    if why := why_no_bucket():
        pytest.skip(why)
    with pytest.MonkeyPatch.context() as patch, bucket_server() as server:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture
def shared_address(postgres: PostgresServer, bucket_host: BucketServer) -> StorageAddress:
    """An empty schema and an empty bucket."""
    return StorageAddress(postgres.url(f"test_{secrets.token_hex(6)}"), bucket_host.new_bucket())


@pytest.fixture
def shared(shared_address: StorageAddress, tmp_path: Path) -> Iterator[StoredRegistry]:
    """A registry over PostgreSQL and S3."""
    from parfocal.registry.index.postgres import PostgresAddress, PostgresIndex

    address = PostgresAddress.parse(shared_address.index)
    index = PostgresIndex(address, lambda: None)
    blobs = ObjectBlobs(open_bucket(shared_address.blobs), tmp_path / "staging")
    yield StoredRegistry(address.shown, index, blobs, [LocalCopies(tmp_path / "registry")])
    index.close()


@pytest.fixture(params=[*STORAGES, SHARED])
def any_storage(request: pytest.FixtureRequest, tmp_path: Path) -> StoredRegistry:
    """A registry over every kind of index and blobs."""
    if request.param == SHARED:
        shared: StoredRegistry = request.getfixturevalue("shared")
        return shared
    return stored(request.param, tmp_path / "registry")


@pytest.fixture(params=[*STORAGES, SHARED, "remote"])
def any_registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    """Every kind of registry: what it promises does not depend on where it is."""
    if request.param in ("remote", SHARED):
        elsewhere: Registry = request.getfixturevalue("shared" if request.param == SHARED else "remote")
        return elsewhere
    return stored(request.param, tmp_path / "registry")


@pytest.fixture
def versions(
    any_registry: Registry, adapter: Callable[..., Path], publication: Publication
) -> Callable[[int], None]:
    """Returns a function that publishes that many versions of `team/x`."""

    def publish(count: int) -> None:
        for fill in range(1, count + 1):
            any_registry.publish("team/x", adapter(fill=fill), publication)

    return publish


@pytest.fixture
def client(tmp_path: Path, registry: FolderRegistry) -> Iterator[Client]:
    with serving(registry, tmp_path / "uploads") as address, open_blocking_channel(address) as channel:
        yield Client(RegistryServiceStub(channel), registry, tmp_path / "uploads")


@pytest.fixture
def parts(adapter: Callable[..., Path], publication: Publication) -> Callable[..., Parts]:
    """Returns a function that makes the messages of a good publication, some fields of its header changed."""

    def make(pieces: int = 2, **header: object) -> Parts:
        return publication_parts(adapter(), publication, pieces, **header)

    return make


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that other users may look into, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
