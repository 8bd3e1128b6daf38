"""A server's registry through the client: published, pulled, promoted, rolled back."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.registry.peft_folders import Adapter, write_adapter
from fakes.registry.registry_server import serving
from parfocal.client import (
    AdapterNotFound,
    AliasMoved,
    AsyncClient,
    Client,
    ClientError,
    Corrupt,
    Evaluation,
    InvalidRequest,
    Provenance,
    Publication,
    Refused,
    Rendering,
)
from parfocal.client.answers import File
from parfocal.client.transfer import receive_files
from parfocal.registry import FolderRegistry, Version
from parfocal.v1 import registry_service_pb2 as pb

Write = Callable[..., Path]
UNSEEN = Publication(base="small-base", unverified_base=True)
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def adapter(tmp_path: Path) -> Write:
    """Returns a function that writes an adapter whose content depends on a number."""
    return lambda fill=1: write_adapter(tmp_path / f"adapter-{fill}", Adapter(fill=fill))


@pytest.fixture
def folder(tmp_path: Path) -> FolderRegistry:
    return FolderRegistry(tmp_path / "registry")


@pytest.fixture
def address(folder: FolderRegistry, tmp_path: Path) -> Iterator[str]:
    with serving(folder, tmp_path / "uploads") as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(f"grpc://{address}") as client:
        yield client


def _publish(client: Client, adapter: Write, count: int = 2) -> None:
    for fill in range(1, count + 1):
        client.registry.publish(adapter(fill), "team/invoices", UNSEEN)


def test_what_is_published_is_pulled_byte_for_byte(client: Client, adapter: Write, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    source = adapter(3)
    version = client.registry.publish(
        source, "team/invoices", UNSEEN, progress=lambda done, total: told.append((done, total))
    )
    pulled = client.registry.pull("team/invoices@1", tmp_path / "pulled")

    assert str(version) == "team/invoices@1"
    assert version.base == "small-base"
    assert told[-1][0] == told[-1][1] > 0
    assert pulled.version == version
    assert sorted(each.name for each in pulled.folder.iterdir()) == [file.path for file in version.files]
    weights = "adapter_model.safetensors"
    assert (pulled.folder / weights).read_bytes() == (source / weights).read_bytes()
    assert version.size_bytes == sum(each.stat().st_size for each in pulled.folder.iterdir())


def test_the_same_content_keeps_its_version(client: Client, adapter: Write) -> None:
    first = client.registry.publish(adapter(1), "team/invoices", UNSEEN)

    assert client.registry.publish(adapter(1), "team/invoices", UNSEEN) == first


def test_what_the_publisher_says_is_kept(client: Client, adapter: Write, folder: FolderRegistry) -> None:
    said = Publication(
        base="small-base",
        unverified_base=True,
        provenance=Provenance(DIGEST, {"rank": 4}, seed=7, tools={"peft": "0.21"}),
        evaluation=Evaluation(DIGEST, 10, {"exact_match": 0.5}),
        rendering=Rendering("chat"),
        tags=("mail", "language:de"),
    )
    version = client.registry.publish(adapter(), "team/invoices", said)
    kept = folder.find(version.digest).manifest

    assert kept.provenance is not None and kept.evaluation is not None
    assert (kept.provenance.seed, kept.provenance.hyper_parameters["rank"]) == (7, 4)
    assert kept.evaluation.metrics == {"exact_match": 0.5}
    assert kept.contract.rendering is not None and kept.contract.rendering.form == "chat"
    assert version.manifest["evaluation"]["metrics"] == {"exact_match": 0.5}
    assert kept.tags == ("language:de", "mail")


@pytest.mark.parametrize("holder", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_chat_template_of_its_own_goes_with_an_adapter(client: Client, adapter: Write, holder: str) -> None:
    template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    source = adapter()
    text = template if holder.endswith("jinja") else f'{{"chat_template": "{template}"}}'
    (source / holder).write_text(text)

    files = client.registry.publish(source, "team/invoices", UNSEEN).files
    assert "chat_template.jinja" in [file.path for file in files]


def test_what_is_attached_is_pulled_again(client: Client, adapter: Write, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<p>good</p>")
    attached = replace(UNSEEN, attachments=[tmp_path / "report.html"])
    client.registry.publish(adapter(), "team/invoices", attached)

    pulled = client.registry.pull("team/invoices", tmp_path / "copy")

    assert (pulled.folder / "report.html").read_text() == "<p>good</p>"


def test_a_base_is_looked_up_by_the_registry(client: Client, adapter: Write) -> None:
    with pytest.raises(Refused) as refused:
        client.registry.publish(adapter(), "team/invoices", Publication(base="tiny"))

    assert refused.value.reason == "CONTRACT_MISMATCH"


def test_an_alias_is_set_moved_only_as_expected_and_rolled_back(client: Client, adapter: Write) -> None:
    registry = client.registry
    _publish(client, adapter)

    assert registry.set_alias("team/invoices", "prod", 1, actor="ann").version == 1
    assert registry.set_alias("team/invoices", "prod", 2, expected_version=1).version == 2
    with pytest.raises(AliasMoved):
        registry.set_alias("team/invoices", "prod", 1, expected_version=1)
    assert registry.resolve("team/invoices@prod").version == 2
    assert registry.rollback_alias("team/invoices", "prod", expected_version=2, actor="bob").version == 1

    moves = registry.history("team/invoices")
    assert [(each.kind, each.previous_version, each.version, each.actor) for each in moves] == [
        ("rollback", 2, 1, "bob"),
        ("set", 1, 2, ""),
        ("set", 0, 1, "ann"),
    ]
    assert {each.alias: each.version for each in registry.aliases("team/invoices")}["prod"] == 1


def test_lists_are_followed_to_their_end(client: Client, adapter: Write) -> None:
    _publish(client, adapter, 3)
    client.registry.set_alias("team/invoices", "prod", 1)

    (found,) = client.registry.adapters()
    assert (found.name, found.latest_version, found.version_count) == ("team/invoices", 3, 3)
    assert found.aliases["prod"] == 1
    assert [each.version for each in client.registry.versions("team/invoices")] == [3, 2, 1]


def test_what_is_deleted_is_gone(client: Client, adapter: Write) -> None:
    registry = client.registry
    _publish(client, adapter)
    registry.set_alias("team/invoices", "prod", 1)
    with pytest.raises(Refused):
        registry.delete_version("team/invoices", 1)

    registry.delete_alias("team/invoices", "prod", expected_version=1)
    registry.delete_version("team/invoices", 1)
    assert [each.version for each in registry.versions("team/invoices")] == [2]
    registry.delete_adapter("team/invoices", force=True)
    with pytest.raises(AdapterNotFound):
        registry.resolve("team/invoices")


def test_a_folder_without_an_adapter_is_refused_unsent(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"has no adapter_config\.json"):
        client.registry.publish(tmp_path, "team/invoices")


def test_a_folder_that_is_there_is_not_written_into(client: Client, adapter: Write, tmp_path: Path) -> None:
    _publish(client, adapter, 1)

    with pytest.raises(FileExistsError):
        client.registry.pull("team/invoices", tmp_path)


def test_an_unknown_reference_leaves_no_folder(client: Client, tmp_path: Path) -> None:
    with pytest.raises(AdapterNotFound):
        client.registry.pull("team/nobody", tmp_path / "pulled")

    assert [each.name for each in tmp_path.glob("*pulled*")] == []


class LyingRegistry(FolderRegistry):
    """Sends the files of the first version for every version."""

    def materialise(self, digest: str) -> Path:
        return super().materialise(self.resolve("team/invoices@1").digest)


def test_bytes_that_are_not_those_announced_leave_no_folder(tmp_path: Path, adapter: Write) -> None:
    with serving(LyingRegistry(tmp_path / "lying"), tmp_path / "lies") as address, Client(address) as client:
        _publish(client, adapter)
        with pytest.raises(Corrupt, match=r"adapter_model\.safetensors") as refused:
            client.registry.pull("team/invoices@2", tmp_path / "pulled")

    assert refused.value.reason == "BLOB_CORRUPT"
    assert [each.name for each in tmp_path.glob("*pulled*")] == []


class TamperingRegistry(FolderRegistry):
    """Says of every version that it has another digest."""

    def resolve(self, reference: str) -> Version:
        return replace(super().resolve(reference), digest=DIGEST)


def test_a_manifest_without_its_digest_is_refused(tmp_path: Path, adapter: Write) -> None:
    honest = FolderRegistry(tmp_path / "registry")
    with serving(honest, tmp_path / "uploads") as address, Client(address) as client:
        _publish(client, adapter, 1)
    with (
        serving(TamperingRegistry(tmp_path / "registry"), tmp_path / "other") as address,
        Client(address) as client,
        pytest.raises(Corrupt, match="manifest"),
    ):
        client.registry.resolve("team/invoices")


@pytest.mark.parametrize("path", ["../escaped", "/etc/passwd", "a/b", "..", ".hidden", ""])
def test_a_file_that_would_leave_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    replies = iter([pb.DownloadVersionResponse(chunk=pb.FileChunk(path=path, data=b"x"))])

    with pytest.raises(Corrupt, match="which no adapter has"):
        receive_files(replies, [File(path, 1, DIGEST)], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_registry_for_asyncio_does_the_same(address: str, adapter: Write, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncClient(address) as client:
            registry = client.registry
            for fill in (1, 2):
                await registry.publish(adapter(fill), "team/invoices", UNSEEN)
            await registry.set_alias("team/invoices", "prod", 1)
            assert (await registry.set_alias("team/invoices", "prod", 2, expected_version=1)).version == 2
            assert (await registry.rollback_alias("team/invoices", "prod", expected_version=2)).version == 1
            assert [each.version async for each in registry.versions("team/invoices")] == [2, 1]
            assert "rollback" in [each.kind async for each in registry.history("team/invoices", "prod")]
            assert [each.name async for each in registry.adapters()] == ["team/invoices"]
            assert "prod" in [each.alias async for each in registry.aliases("team/invoices")]
            pulled = await registry.pull("team/invoices@prod", tmp_path / "pulled")
            assert pulled.version == await registry.resolve("team/invoices@1")
            await registry.delete_alias("team/invoices", "prod")
            await registry.delete_version("team/invoices", 1)
            await registry.delete_adapter("team/invoices")
            with pytest.raises(ClientError):
                await registry.resolve("team/invoices")

    asyncio.run(scenario())


class HoldingRegistry(FolderRegistry):
    """Reads a version only when it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.entered = threading.Event()
        self.released = threading.Event()

    def materialise(self, digest: str) -> Path:
        self.entered.set()
        assert self.released.wait(60)
        return super().materialise(digest)


def test_a_pull_whose_task_is_cancelled_ends_and_leaves_nothing(tmp_path: Path, adapter: Write) -> None:
    registry = HoldingRegistry(tmp_path / "registry")

    async def scenario(address: str) -> None:
        async with AsyncClient(address) as client:
            await client.registry.publish(adapter(), "team/invoices", UNSEEN)
            pulling = asyncio.create_task(client.registry.pull("team/invoices", tmp_path / "pulled"))
            assert await asyncio.to_thread(registry.entered.wait, 30)
            pulling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pulling

    with serving(registry, tmp_path / "uploads") as address:
        # The loop waits for its threads when it ends: the one that pulled has noticed.
        asyncio.run(scenario(address))
        registry.released.set()
    assert [each.name for each in tmp_path.glob("*pulled*")] == []


def test_a_file_that_vanishes_while_it_is_sent_is_named(client: Client, adapter: Write) -> None:
    source = adapter()

    def vanish(done: int, total: int) -> None:
        (source / "adapter_model.safetensors").unlink(missing_ok=True)

    with pytest.raises(FileNotFoundError, match=r"adapter_model\.safetensors"):
        client.registry.publish(source, "team/invoices", UNSEEN, progress=vanish)

    version = client.registry.publish(adapter(2), "team/invoices", UNSEEN)
    assert version.version == 1
