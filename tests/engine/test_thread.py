"""An engine on its own thread: every stream ends, whatever happens to the engine or to the reader."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from fakes.engine.engines import World
from fakes.engine.runner import right_answer
from parfocal.engine import (
    AdapterKey,
    DeviceLost,
    Engine,
    EngineDraining,
    EngineError,
    EngineFailed,
    FinishReason,
    Request,
    Stop,
)
from parfocal.engine.inbox import Message
from parfocal.engine.thread import EngineThread, Stream

PATIENCE_SECONDS = 60.0


def request(name: str, digest: str = "", tokens: int = 5) -> Request:
    return Request(name, (1, 2), AdapterKey(digest) if digest else None, stop=Stop(max_tokens=tokens))


def run(work: Coroutine[Any, Any, None]) -> None:
    """Runs `work`; a hang becomes a failure."""
    asyncio.run(asyncio.wait_for(work, PATIENCE_SECONDS))


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def running(world: World) -> AsyncIterator[EngineThread]:
    thread = EngineThread(world.engine)
    thread.start()
    try:
        yield thread
    finally:
        if world.runner.turns is not None:
            world.runner.turns.release(10_000)
        await asyncio.to_thread(thread.stop)


def test_a_stream_gives_every_token_and_ends_with_the_completion() -> None:
    async def work() -> None:
        async with running(World()) as thread:
            deltas = [delta async for delta in thread.submit(request("q"))]

        right = right_answer((1, 2), "", 5)
        assert [token for delta in deltas for token in delta.token_ids] == right
        assert [delta.completion is None for delta in deltas[:-1]] == [True] * (len(deltas) - 1)
        assert deltas[-1].completion is not None
        assert list(deltas[-1].completion.token_ids) == right

    run(work())


def test_a_stream_that_was_read_to_its_end_says_so_and_cancels_nothing() -> None:
    async def work() -> None:
        async with running(World()) as thread:
            first = thread.submit(request("same name"))
            await first.completion()
            with pytest.raises(EngineError, match="same name was read to its end"):
                await first.completion()
            second = thread.submit(request("same name"))
            first.cancel()
            assert (await second.completion()).finish_reason is FinishReason.LENGTH

    run(work())


def test_a_stream_that_ended_unread_cancels_nobody_who_has_its_id_now() -> None:
    async def work() -> None:
        world = World()
        world.runner.turns = threading.Semaphore(1)
        async with running(world) as thread:
            first = thread.submit(request("same name", tokens=1))
            await until(lambda: not thread.engine.live)
            second = thread.submit(request("same name"))
            first.cancel()
            world.runner.turns.release(10)
            assert (await second.completion()).finish_reason is FinishReason.LENGTH
            assert (await first.completion()).finish_reason is FinishReason.LENGTH

    run(work())


def test_a_stream_cancelled_between_tokens_ends_with_what_it_has() -> None:
    async def work() -> None:
        world = World()
        world.runner.turns = threading.Semaphore(1)
        async with running(world) as thread:
            stream = thread.submit(request("q", tokens=50))
            await anext(stream)
            stream.cancel()
            world.runner.turns.release(2)
            done = await stream.completion()

        assert done.finish_reason is FinishReason.CANCELLED
        assert list(done.token_ids) == right_answer((1, 2), "", 50)[: len(done.token_ids)]
        assert 1 <= len(done.token_ids) <= 3

    run(work())


def test_draining_lets_accepted_requests_end_and_takes_no_more() -> None:
    async def work() -> None:
        world = World()
        async with running(world) as thread:
            stream = thread.submit(request("q", "cold"))
            await until(lambda: world.loader.pending)
            drain = asyncio.create_task(thread.drain(PATIENCE_SECONDS))
            await asyncio.sleep(0)
            with pytest.raises(EngineDraining):
                thread.submit(request("late"))
            world.loader.succeed(world.loader.pending[0])

            assert list((await stream.completion()).token_ids) == right_answer((1, 2), "cold", 5)
            await drain
            assert not thread.alive

    run(work())


def test_what_the_drains_grace_cuts_ends_in_an_error() -> None:
    async def work() -> None:
        async with running(World()) as thread:
            streams = [thread.submit(request(name, "never loaded")) for name in ("p", "q")]
            await thread.drain(0.0)
            for stream in streams:
                with pytest.raises(EngineDraining):
                    await stream.completion()

    run(work())


def test_stopping_ends_requests_that_the_engine_has_not_even_read() -> None:
    async def work() -> None:
        world = World()
        world.runner.turns = threading.Semaphore(0)
        async with running(world) as thread:
            streams = [thread.submit(request("running"))]
            await until(lambda: world.scheduler.running)
            streams.append(thread.submit(request("unread")))
            stop = asyncio.create_task(asyncio.to_thread(thread.stop))
            await until(lambda: _refuses(thread))
            world.runner.turns.release()
            await stop
            for stream in streams:
                with pytest.raises(EngineDraining):
                    await stream.completion()

    run(work())


def _refuses(thread: EngineThread) -> bool:
    try:
        thread.engine.submit(request("unread"), lambda _: None)
    except EngineDraining:
        return True
    except EngineError:
        return False
    raise AssertionError("an id in use was accepted")


def test_an_engine_that_breaks_ends_every_request_and_takes_no_more() -> None:
    """The blocks of a running request are given back behind the scheduler's back, so that it cannot.

    Its answer is complete when that comes out, so it gets that.
    """
    closing, closed = threading.Event(), threading.Event()

    def close() -> None:
        closing.set()
        assert closed.wait(PATIENCE_SECONDS)

    async def work() -> None:
        world = World(close=close)
        world.runner.turns = threading.Semaphore(1)
        async with running(world) as thread:
            streams = [thread.submit(request(name, tokens=tokens)) for name, tokens in (("p", 2), ("q", 9))]
            streams.append(thread.submit(request("waits", "cold")))
            await anext(streams[0])
            world.pool.release(world.scheduler.running[0].blocks)
            world.runner.turns.release()
            await until(closing.is_set)
            assert list((await streams[0].completion()).token_ids) == right_answer((1, 2), "", 2)
            for stream in streams[1:]:
                with pytest.raises(EngineFailed, match="released twice"):
                    await stream.completion()
            with pytest.raises(EngineFailed, match="released twice"):
                thread.submit(request("late"))
            assert not thread.alive, "it looks alive while its loads end"
            closed.set()

    run(work())


def test_a_lost_device_is_given_as_the_reason_to_all_who_ask_then_or_later() -> None:
    async def work() -> None:
        world = World()
        world.runner.turns = threading.Semaphore(1)
        async with running(world) as thread:
            streams = [thread.submit(request("runs", tokens=9)), thread.submit(request("waits", "cold"))]
            await anext(streams[0])
            world.runner.failure, world.runner.is_device_lost = RuntimeError("an illegal access"), True
            world.runner.turns.release()
            for stream in streams:
                with pytest.raises(DeviceLost, match="the device is lost: an illegal access"):
                    await stream.completion()
            for name in ("late", "later"):
                with pytest.raises(DeviceLost, match="send the request to another server") as refused:
                    thread.submit(request(name))
                assert len(refused.traceback) <= 3, "each refusal adds to the one before"
            assert not thread.alive
            assert isinstance(thread.failure, DeviceLost)

    run(work())


def test_an_engine_that_was_stopped_has_not_failed() -> None:
    async def work() -> None:
        async with running(World()) as thread:
            await thread.submit(request("q")).completion()
            await thread.drain(0.0)
            assert not thread.alive
            assert thread.failure is None

    run(work())


@pytest.mark.parametrize("overlaps", [False, True], ids=["sends at once", "sends during the next step"])
def test_an_engine_that_breaks_tells_everybody_whatever_state_its_scheduler_is_in(overlaps: bool) -> None:
    """One request ends by a stop string that nobody has seen yet when the blocks are found broken."""
    closed = threading.Event()

    async def work() -> None:
        world = World(overlaps=overlaps, close=closed.set)
        world.runner.turns = threading.Semaphore(0)
        async with running(world) as thread:
            last = right_answer((1, 2), "", 3)[-1]
            stop = Stop(max_tokens=40, strings=(f"{last},",))
            streams = [
                thread.submit(Request("ends", (1, 2), stop=stop)),
                thread.submit(request("goes on", tokens=40)),
                thread.submit(request("waits", "cold")),
            ]
            await until(lambda: world.scheduler.running)
            world.runner.turns.release(2)
            await until(lambda: len(world.scheduler.running[0].output_ids) == 2)
            for sequence in world.scheduler.running:
                world.pool.release(sequence.blocks)
            world.runner.turns.release(3)
            ended = await streams[0].completion()
            assert (ended.finish_reason, ended.token_ids[-1]) == (FinishReason.STOP_STRING, last)
            for stream in streams[1:]:
                with pytest.raises(EngineFailed):
                    await stream.completion()
            await until(lambda: not thread.alive)

    run(work())
    assert closed.is_set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_engine_is_closed_even_if_its_requests_cannot_be_ended() -> None:
    class Hopeless(Engine):
        def __init__(self) -> None:
            self.closed = threading.Event()

        def drain(self) -> None:
            """Does nothing."""

        def post(self, message: Message) -> None:
            """Does nothing."""

        def step(self) -> bool:
            raise RuntimeError("the engine is broken")

        def fail_all(self, error: Exception) -> None:
            raise RuntimeError("and broken")

        def close(self) -> None:
            self.closed.set()

    engine = Hopeless()
    thread = EngineThread(engine)
    thread.start()

    assert engine.closed.wait(PATIENCE_SECONDS)
    thread.stop()
    assert not thread.alive


def test_a_reader_whose_event_loop_is_gone_does_not_take_the_engine_down() -> None:
    world = World()
    thread = EngineThread(world.engine)
    thread.start()

    async def leave() -> Stream:
        stream = thread.submit(request("abandoned", "cold"))
        await until(lambda: world.loader.pending)
        return stream

    async def stay() -> None:
        world.loader.succeed(world.loader.pending[0])
        done = await thread.submit(request("other", "cold")).completion()
        assert list(done.token_ids) == right_answer((1, 2), "cold", 5)

    asyncio.run(leave())
    run(stay())
    until_time = time.monotonic() + PATIENCE_SECONDS
    while world.engine.live and time.monotonic() < until_time:
        time.sleep(0.001)
    assert world.engine.live == 0
    thread.stop()
    world.check_invariants()
