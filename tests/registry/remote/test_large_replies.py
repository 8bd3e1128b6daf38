"""Pages fit a message whatever their items hold, and a refused upload leaves nothing of itself in memory."""

import asyncio
import gc
import struct
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.registry.memory_blobs import MemoryBlobs
from fakes.registry.memory_index import MemoryIndex
from fakes.registry.registry_client import WEIGHTS, Client, Parts, chunk
from fakes.registry.registry_server import serving
from parfocal.registry import Publication, StoredRegistry
from parfocal.registry.copies import LocalCopies
from parfocal.registry.errors import TooManyAliases
from parfocal.registry.faces.grpc.fitting import fitting
from parfocal.registry.faces.threads import to_the_end
from parfocal.registry.index.sqlite import SqliteIndex
from parfocal.registry.values import MAX_ALIASES, AliasMove, EventKind, MoveKind, digest_of
from parfocal.registry.wire import move_message
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.registry_service_pb2_grpc import RegistryServiceStub

Write = Callable[..., Path]
# What clients read that do not ask for more.
PLAIN_CLIENT_BYTES = 4 << 20
WIDEST_ACTOR = "\U0001f600" * 256
NAMES = [f"team/{'x' * 60}{number}" for number in range(6)]


@given(st.lists(st.integers(0, 5 << 20), max_size=8))
def test_a_page_takes_what_fits_and_at_least_one(sizes: list[int]) -> None:
    made: list[int] = []

    def messages() -> Iterator[pb.FileChunk]:
        for size in sizes:
            made.append(size)
            yield pb.FileChunk(data=bytes(size))

    page = fitting(messages())
    assert [len(each.data) for each in page] == sizes[: len(page)]
    assert bool(page) == bool(sizes)
    assert len(page) <= 1 or sum(map(len, (each.data for each in page))) <= 3 << 20
    assert len(made) <= len(page) + 1


def test_the_largest_page_of_moves_fits_a_plain_client() -> None:
    now = datetime.now(UTC)
    name = f"{'n' * 63}/{'x' * 63}"
    move = AliasMove(name, "a" * 63, 1 << 30, 1 << 30, f"sha256:{'0' * 64}", MoveKind.SET, WIDEST_ACTOR, now)
    page = pb.ListAliasMovesResponse(moves=[move_message(move)] * 1000)
    assert page.ByteSize() < PLAIN_CLIENT_BYTES


@pytest.fixture
def crowded(tmp_path: Path, adapter: Write, publication: Publication) -> StoredRegistry:
    """Six adapters with as many aliases as there can be, each moved by somebody with the longest name."""
    small, blobs, copies = MemoryIndex(), MemoryBlobs(), [LocalCopies(tmp_path / "copies")]
    registry = StoredRegistry("small", small, blobs, copies)
    folder = adapter()
    for name in NAMES:
        registry.publish(name, folder, publication)
    events = small.events(0, 100)
    aliases = [(event, alias) for event in events for alias in range(MAX_ALIASES)]
    for number, (event, alias) in enumerate(aliases, len(events) + 1):
        word = f"{'a' * 58}{alias:05}"
        events.append(
            replace(event, sequence=number, kind=EventKind.ALIAS_SET, alias=word, actor=WIDEST_ACTOR)
        )
    index = SqliteIndex(tmp_path / "index.sqlite", lambda: None)
    index.restore(events, dict(small.manifests()))
    return StoredRegistry("crowded", index, blobs, copies)


@pytest.mark.parametrize("characters", [0, 300, 40_000])
def test_moves_of_which_gates_found_much_come_in_pages_that_any_client_reads(
    tmp_path: Path, adapter: Write, publication: Publication, characters: int
) -> None:
    small, blobs, copies = MemoryIndex(), MemoryBlobs(), [LocalCopies(tmp_path / "copies")]
    StoredRegistry("small", small, blobs, copies).publish("team/x", adapter(), publication)
    [published] = small.events(0, 1)
    moved = replace(published, kind=EventKind.ALIAS_SET, alias="prod", gate="\U0001f600" * characters)
    index = SqliteIndex(tmp_path / "index.sqlite", lambda: None)
    events = [published, *(replace(moved, sequence=number) for number in range(2, 302))]
    index.restore(events, dict(small.manifests()))
    registry = StoredRegistry("wide", index, blobs, copies)
    with serving(registry, tmp_path / "uploads") as address, grpc.insecure_channel(address) as channel:
        stub, token, found = RegistryServiceStub(channel), "", 0
        while token or not found:
            page = stub.ListAliasMoves(
                pb.ListAliasMovesRequest(name="team/x", page_size=1000, page_token=token)
            )
            found, token = found + len(page.moves), page.next_page_token
    assert found == 300


@pytest.fixture
def plain(crowded: StoredRegistry, tmp_path: Path) -> Iterator[RegistryServiceStub]:
    """A client that reads no more than any client of gRPC."""
    with serving(crowded, tmp_path / "uploads") as address, grpc.insecure_channel(address) as channel:
        yield RegistryServiceStub(channel)


def test_adapters_with_very_many_aliases_come_in_pages_that_any_client_reads(
    plain: RegistryServiceStub,
) -> None:
    found: list[str] = []
    token, pages = "", 0
    while token or not pages:
        page = plain.ListAdapters(pb.ListAdaptersRequest(page_token=token))
        found += [adapter.name for adapter in page.adapters]
        token, pages = page.next_page_token, pages + 1
    assert found == NAMES
    assert pages > 1


def test_aliases_with_their_history_come_in_pages_that_any_client_reads(plain: RegistryServiceStub) -> None:
    name = NAMES[0]
    found: list[str] = []
    token, pages = "", 0
    while token or not pages:
        request = pb.ListAliasesRequest(name=name, include_history=True, page_size=1000, page_token=token)
        page = plain.ListAliases(request)
        found += [alias.alias for alias in page.aliases]
        token, pages = page.next_page_token, pages + 1
    assert len(found) == len(set(found)) == MAX_ALIASES
    assert found == sorted(found)


def test_a_version_that_every_alias_points_at_is_read_by_any_client(plain: RegistryServiceStub) -> None:
    version = plain.ResolveAdapter(pb.ResolveAdapterRequest(reference=NAMES[0]))
    assert len(version.aliases) == MAX_ALIASES


def test_one_alias_too_many_is_refused_and_existing_ones_still_move(crowded: StoredRegistry) -> None:
    name = NAMES[0]
    with pytest.raises(TooManyAliases, match="delete one first"):
        crowded.set_alias(name, "more", 1)
    crowded.delete_alias(name, f"{'a' * 58}00000")
    assert crowded.set_alias(name, "more", 1).version == 1
    with pytest.raises(TooManyAliases):
        crowded.rollback_alias(name, f"{'a' * 58}00000", 0)


HEADERS: dict[str, Callable[[], bytes]] = {
    "values without end": lambda: b'{"a":[' + b",".join([b"[]"] * 2_700_000) + b"]}",
    "numbers without end": lambda: b'{"a":[' + b",".join([b"0"] * 4_000_000) + b"]}",
    "keys without end": lambda: b"{" + b",".join(b'"%06d":0' % n for n in range(700_000)) + b"}",
    "broken at its end": lambda: b'{"a":"' + b"x" * (7 << 20),
    "nested without end": lambda: b'{"a":' + b"[" * (4 << 20),
    "a number without end": lambda: b'{"a":' + b"1" * (1 << 20) + b"}",
}


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_that_would_fill_the_memory_is_refused_before_it_is_read(
    client: Client, parts: Callable[..., Parts], header: str
) -> None:
    text = HEADERS[header]()
    weights = struct.pack("<Q", len(text)) + text
    good = parts()
    pieces = [weights[at : at + (1 << 20)] for at in range(0, len(weights), 1 << 20)]
    first = pb.PublishVersionRequest()
    first.CopyFrom(good[0])
    entry = first.header.files[1]
    entry.size, entry.digest = len(weights), digest_of(weights)
    refusal = client.refusal([first, *good[1:3], *(chunk(WEIGHTS, piece) for piece in pieces)])
    assert refusal.status == "INVALID_ARGUMENT"
    assert refusal.reason == "MALFORMED_FILE"


class _Large:
    """Stands for what a thread read before it failed."""


def test_a_failed_upload_is_freed_without_the_garbage_collector() -> None:
    """Its error must not hold, through its traceback, what the thread had read: gigabytes waited then."""
    held: list[weakref.ref[_Large]] = []

    def fail() -> None:
        large = _Large()
        held.append(weakref.ref(large))
        raise ValueError("refused")

    async def upload(threads: ThreadPoolExecutor) -> None:
        with suppress(ValueError):  # pytest.raises would hold the error itself
            await to_the_end(asyncio.get_running_loop().run_in_executor(threads, fail))

    gc.collect()
    gc.disable()
    try:
        with ThreadPoolExecutor(1) as threads:
            asyncio.run(upload(threads))
        assert held[0]() is None
    finally:
        gc.enable()
