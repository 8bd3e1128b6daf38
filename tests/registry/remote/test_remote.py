"""RemoteRegistry against servers that lie, vanish or refuse; and how a registry's location is read."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.registry.registry_server import serving
from parfocal.registry import FolderRegistry, Publication, Version, open_registry
from parfocal.registry.errors import BlobCorrupt, InvalidArgument, StorageError
from parfocal.registry.remote import RemoteRegistry
from parfocal.rpc import AddressInvalid, RemoteError

Write = Callable[..., Path]


class LyingRegistry(FolderRegistry):
    """Serves, for every digest, the files of the first version."""

    def materialise(self, digest: str) -> Path:
        return super().materialise(self.resolve("x@1").digest)

    def find(self, digest: str) -> Version:
        return self.resolve("x@1") if digest == self.resolve("x@2").digest else super().find(digest)


class HalfwayRegistry(FolderRegistry):
    """Loses the end of the weights after it has verified them."""

    def materialise(self, digest: str) -> Path:
        folder = super().materialise(digest)
        weights = folder / "adapter_model.safetensors"
        data = weights.read_bytes()
        weights.unlink()
        weights.write_bytes(data[: len(data) // 2])
        return folder


def published(registry: FolderRegistry, adapter: Write, publication: Publication) -> list[Version]:
    return [registry.publish("x", adapter(fill=fill), publication) for fill in (1, 2)]


def test_the_version_of_another_digest_is_refused(
    tmp_path: Path, adapter: Write, publication: Publication
) -> None:
    registry = LyingRegistry(tmp_path / "registry")
    _, second = published(registry, adapter, publication)
    with serving(registry, tmp_path / "uploads") as address:
        remote = RemoteRegistry(address, cache=tmp_path / "cache")
        with pytest.raises(BlobCorrupt, match=second.digest):
            remote.materialise(second.digest)
        with pytest.raises(BlobCorrupt):
            remote.find(second.digest)
    assert list((tmp_path / "cache").glob("materialised/*/*.safetensors")) == []


def test_a_download_that_breaks_off_leaves_no_file(
    tmp_path: Path, adapter: Write, publication: Publication
) -> None:
    registry = HalfwayRegistry(tmp_path / "registry")
    first, _ = published(registry, adapter, publication)
    with serving(registry, tmp_path / "uploads") as address:
        remote = RemoteRegistry(address, cache=tmp_path / "cache")
        with pytest.raises(BlobCorrupt, match="adapter_model"):
            remote.materialise(first.digest)
    assert list((tmp_path / "cache").glob("materialised/*/*.safetensors")) == []
    assert list((tmp_path / "cache" / "staging").iterdir()) == []


def test_a_version_that_is_here_needs_no_server(
    tmp_path: Path, adapter: Write, publication: Publication
) -> None:
    registry = FolderRegistry(tmp_path / "registry")
    first, second = published(registry, adapter, publication)
    with serving(registry, tmp_path / "uploads") as address:
        remote = RemoteRegistry(address, cache=tmp_path / "cache")
        folder = remote.materialise(first.digest)
    assert remote.materialise(first.digest) == folder
    assert remote.manifest(first.digest) == first.manifest
    with pytest.raises(RemoteError) as failed:
        remote.materialise(second.digest)
    assert failed.value.status == "UNAVAILABLE"


def test_a_spoilt_manifest_in_the_cache_is_fetched_again(
    tmp_path: Path, adapter: Write, publication: Publication
) -> None:
    registry = FolderRegistry(tmp_path / "registry")
    first, _ = published(registry, adapter, publication)
    with serving(registry, tmp_path / "uploads") as address:
        remote = RemoteRegistry(address, cache=tmp_path / "cache")
        remote.materialise(first.digest)
        [manifest] = (tmp_path / "cache" / "manifests").iterdir()
        manifest.write_bytes(b"{}")
        assert remote.materialise(first.digest).is_dir()
        assert manifest.read_bytes() == first.manifest.to_bytes()


def test_a_server_that_cannot_be_reached_is_unavailable(tmp_path: Path) -> None:
    remote = RemoteRegistry("grpc://127.0.0.1:9", cache=tmp_path / "cache")
    with pytest.raises(RemoteError) as failed:
        remote.resolve("x")
    assert failed.value.status == "UNAVAILABLE"


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="file"):
        registry = RemoteRegistry("grpc://127.0.0.1:9", cache=tmp_path / "file")
        registry.materialise(f"sha256:{'0' * 64}")


def test_local_copies_may_be_on_another_disk(
    tmp_path: Path, adapter: Write, publication: Publication
) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk here")
    with tempfile.TemporaryDirectory(dir=memory) as cache:
        registry = FolderRegistry(tmp_path / "registry", cache=Path(cache))
        version = registry.publish("x", adapter(), publication)
        assert registry.materialise(version.digest).is_relative_to(cache)


def test_a_location_is_a_folder_or_a_server(tmp_path: Path, served: str) -> None:
    assert isinstance(open_registry(str(tmp_path / "new")), FolderRegistry)
    assert isinstance(open_registry(f"grpc://{served}"), RemoteRegistry)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    with serving(FolderRegistry(tmp_path / "registry"), tmp_path / "uploads") as address:
        yield address


@pytest.mark.parametrize("location", ["", "http://host", "s3://bucket"])
def test_another_kind_of_location_is_refused(location: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        open_registry(location)
    assert refused.value.field == "registry"


def test_an_address_without_a_port_is_refused() -> None:
    with pytest.raises(AddressInvalid):
        open_registry("grpc://host")


def test_the_registry_loads_no_tensor_library() -> None:
    heavy = "{'torch', 'numpy', 'transformers', 'peft', 'safetensors', 'huggingface_hub'}"
    code = f"import sys, parfocal.registry; print(sorted({heavy} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("[]\n", "")
