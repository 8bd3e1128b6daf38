"""Tokenize, GetModel and ListLoadedAdapters over a real channel."""

import asyncio

import grpc
import pytest

from fakes.serving import Served, serving
from parfocal.engine import AdapterKey
from parfocal.engine.parts import AdapterStatus
from parfocal.rpc import remote_error
from parfocal.v1 import inference_service_pb2 as pb


def _status(number: int, state: str = "ready", tier: str = "device") -> AdapterStatus:
    key = AdapterKey(f"sha256:{number:064x}", f"team/adapter-{number:02}", number)
    return AdapterStatus(key, state, tier, rank=8, size_bytes=1000 + number, pins=number % 2)


async def _pages(served: Served, size: int) -> list[list[str]]:
    pages, token = [], ""
    while True:
        page = await served.stub.ListLoadedAdapters(
            pb.ListLoadedAdaptersRequest(page_size=size, page_token=token)
        )
        pages.append([adapter.name for adapter in page.adapters])
        token = page.next_page_token
        if not token:
            return pages


def test_tokenize_gives_ids_and_texts_as_generate_would_use_them() -> None:
    async def scenario() -> tuple[pb.TokenizeResponse, tuple[int, ...]]:
        async with serving() as served:
            chat = pb.Chat(messages=[pb.Message(role="user", content="é")])
            reply = await served.stub.Tokenize(pb.TokenizeRequest(chat=chat))
            await served.stub.Generate(pb.GenerateRequest(chat=chat))
            return reply, served.engine.submitted[0].request.prompt_ids

    reply, used = asyncio.run(scenario())

    assert tuple(reply.token_ids) == used
    assert list(reply.texts) == ["u", ":", "é", "\n", "a", ":"]


def test_tokenize_without_input_is_refused() -> None:
    async def scenario() -> str | None:
        async with serving() as served:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await served.stub.Tokenize(pb.TokenizeRequest())
            return remote_error(failed.value).field

    assert asyncio.run(scenario()) == "input"


def test_detokenize_spells_tokens() -> None:
    async def scenario() -> str:
        async with serving() as served:
            reply = await served.stub.Detokenize(pb.DetokenizeRequest(token_ids=map(ord, "Häuser")))
            return reply.text

    assert asyncio.run(scenario()) == "Häuser"


@pytest.mark.parametrize("ids", [[], [-1], [5, 0x110000]])
def test_detokenize_refuses_what_is_no_token(ids: list[int]) -> None:
    async def scenario() -> str | None:
        async with serving() as served:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await served.stub.Detokenize(pb.DetokenizeRequest(token_ids=ids))
            return remote_error(failed.value).field

    assert asyncio.run(scenario()) == "token_ids"


def test_get_model_describes_the_base() -> None:
    async def scenario() -> pb.Model:
        async with serving() as served:
            return await served.stub.GetModel(pb.GetModelRequest())

    assert asyncio.run(scenario()).context_tokens == 64


def test_loaded_adapters_are_the_engines_truth() -> None:
    async def scenario() -> list[pb.LoadedAdapter]:
        async with serving() as served:
            served.engine.statuses = [
                _status(3, "fetching", "host"),
                _status(1),
                _status(4, "failed", "host"),
                _status(2, "no_room", "host"),
            ]
            reply = await served.stub.ListLoadedAdapters(pb.ListLoadedAdaptersRequest())
            return list(reply.adapters)

    adapters = asyncio.run(scenario())

    assert [adapter.version for adapter in adapters] == [1, 3]
    assert adapters[0] == pb.LoadedAdapter(
        name="team/adapter-01",
        version=1,
        digest=f"sha256:{1:064x}",
        state=pb.ADAPTER_STATE_READY,
        tier=pb.TIER_DEVICE,
        size_bytes=1001,
        pins=1,
        rank=8,
    )
    assert adapters[1].state == pb.ADAPTER_STATE_FETCHING


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_pages_of_loaded_adapters_hold_each_once(size: int) -> None:
    async def scenario() -> list[list[str]]:
        async with serving() as served:
            served.engine.statuses = [_status(number) for number in range(7)]
            return await _pages(served, size)

    pages = asyncio.run(scenario())

    assert [name for page in pages for name in page] == [f"team/adapter-{number:02}" for number in range(7)]
    assert all(len(page) == size for page in pages[:-1])


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListLoadedAdaptersRequest(page_size=-1), "page_size"),
        (pb.ListLoadedAdaptersRequest(page_token="!"), "page_token"),
        (pb.ListLoadedAdaptersRequest(page_token="aGVsbG8="), "page_token"),
    ],
)
def test_a_bad_page_is_refused_by_field(request_: pb.ListLoadedAdaptersRequest, field: str) -> None:
    async def scenario() -> tuple[str, str | None]:
        async with serving() as served:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await served.stub.ListLoadedAdapters(request_)
            remote = remote_error(failed.value)
            return remote.status, remote.field

    assert asyncio.run(scenario()) == ("INVALID_ARGUMENT", field)
