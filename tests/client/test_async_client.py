"""The client for asyncio."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fakes.scripted_inference import WORDS, ScriptedInference, scripted
from fakes.serving import Served
from parfocal.client import AdapterNotFound, AsyncClient, Cancelled, Retries, TimedOut, Unavailable
from parfocal.rpc import Loading, WireError

FAST = Retries(attempts=3, first_s=0.0)
Scenario = Callable[[AsyncClient], Awaitable[None]]


class Broken(WireError):
    """A failure in the middle of an answer."""

    status = "UNAVAILABLE"
    reason = "BROKEN"


def _run(address: str, scenario: Scenario, retries: Retries = FAST) -> None:
    async def run() -> None:
        async with AsyncClient(address, retries=retries) as client:
            await scenario(client)

    asyncio.run(run())


def test_calls_are_those_of_the_other_client(served: Served) -> None:
    async def scenario(client: AsyncClient) -> None:
        answer = await client.generate("Hello", adapter="team/invoices@prod", max_tokens=4)
        assert (answer.text, str(answer.adapter)) == ("Once upon a time", "team/invoices@3")
        assert (await client.tokenize("Hi")).ids == (72, 105)
        assert (await client.model()).context_tokens == 64
        assert await client.loaded_adapters() == ()
        assert await client.is_serving()
        with pytest.raises(AdapterNotFound):
            await client.generate("Hello", adapter="team/nobody")

    _run(f"127.0.0.1:{served.wire.port}", scenario)


def test_the_pieces_make_the_whole() -> None:
    async def scenario(client: AsyncClient) -> None:
        stream = client.stream("Hello")
        pieces = [piece.text async for piece in stream]
        assert "".join(pieces) == "".join(WORDS) == (await stream.result()).text
        assert (await client.stream("Hello").result()).text == "".join(WORDS)

    with scripted(ScriptedInference()) as address:
        _run(address, scenario)


def test_leaving_the_scope_cancels_the_request_and_ends_the_stream() -> None:
    servicer = ScriptedInference(holds=True)

    async def scenario(client: AsyncClient) -> None:
        async with client.stream("Hello") as stream:
            assert (await anext(stream)).text == "Once"
        assert await asyncio.to_thread(servicer.left.wait, 30)
        assert [piece async for piece in stream] == []
        with pytest.raises(Cancelled):
            await stream.result()

    with scripted(servicer) as address:
        _run(address, scenario)


def test_a_loop_that_is_left_cancels_the_request() -> None:
    servicer = ScriptedInference(holds=True)

    async def scenario(client: AsyncClient) -> None:
        async for _ in client.stream("Hello"):
            break
        assert await asyncio.to_thread(servicer.left.wait, 30)

    with scripted(servicer) as address:
        _run(address, scenario)


def test_a_task_that_is_cancelled_cancels_its_request() -> None:
    servicer = ScriptedInference(holds=True)

    async def scenario(client: AsyncClient) -> None:
        seen = asyncio.Event()

        async def read() -> None:
            async for _ in client.stream("Hello"):
                seen.set()

        task = asyncio.create_task(read())
        await seen.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(servicer.left.wait, 30)

    with scripted(servicer) as address:
        _run(address, scenario)


def test_a_stream_that_found_no_server_is_begun_again_and_a_broken_one_is_not() -> None:
    loading = ScriptedInference(*(Loading("loading", retry_after_s=0.0) for _ in range(2)))
    broken = ScriptedInference(Broken("the connection broke"), before=1)

    async def again(client: AsyncClient) -> None:
        assert (await client.stream("Hello").result()).text == "".join(WORDS)
        assert (await client.generate("Hello")).text == "".join(WORDS)

    async def once(client: AsyncClient) -> None:
        with pytest.raises(Unavailable, match="the connection broke"):
            await client.stream("Hello").result()

    with scripted(loading) as address:
        _run(address, again)
    with scripted(broken) as address:
        _run(address, once)
    assert (len(loading.requests), len(broken.requests)) == (4, 1)


def test_a_call_ends_at_its_timeout(served: Served) -> None:
    served.engine.gate.clear()

    async def scenario(client: AsyncClient) -> None:
        with pytest.raises(TimedOut):
            await client.generate("Hello", timeout=0.05)
        with pytest.raises(TimedOut):
            await client.stream("Hello", timeout=0.05).result()

    _run(f"127.0.0.1:{served.wire.port}", scenario)
