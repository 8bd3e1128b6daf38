"""Clients that give a request up and, told of its end, send its id again; each has an answer of its own.

`pytest tests/engine/test_resent_ids.py --resends 5000` goes on for minutes.
"""

import asyncio
import random

import pytest

from fakes.engine.engines import World
from fakes.engine.runner import right_answer
from parfocal.engine import EngineThread, FinishReason, Request, Stop

CLIENTS = 48
PATIENCE_SECONDS = 60.0


async def _client(thread: EngineThread, number: int, cycles: int) -> None:
    """Leaves after a few tokens, most times, and comes back at once."""
    draw = random.Random(number)
    prompt = (number, 2, 3)
    right = right_answer(prompt, "", 40)
    for cycle in range(cycles):
        stream = thread.submit(Request(f"c{number}", prompt, stop=Stop(max_tokens=40)))
        for _ in range(draw.randrange(3)):
            await anext(stream)
        if cycle % 4 != 3:
            stream.cancel()
        done = await stream.completion()
        got = list(done.token_ids)
        assert got == right[: len(got)]
        cancelled = done.finish_reason is FinishReason.CANCELLED
        assert len(got) < 40 if cancelled else (got, done.finish_reason) == (right, FinishReason.LENGTH)
        assert cancelled <= (cycle % 4 != 3), "cancelled by one that had its id before"


@pytest.mark.parametrize("overlaps", [False, True], ids=["sends at once", "sends during the next step"])
def test_everybody_who_leaves_and_comes_back_with_the_same_id_is_answered(
    overlaps: bool, pytestconfig: pytest.Config
) -> None:
    cycles = pytestconfig.getoption("--resends")
    world = World(overlaps=overlaps, max_requests=32, blocks=2000, max_batch_tokens=256)

    async def scenario() -> None:
        thread = EngineThread(world.engine)
        thread.start()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS + cycles), asyncio.TaskGroup() as group:
                for number in range(CLIENTS):
                    group.create_task(_client(thread, number, cycles))
        finally:
            await asyncio.to_thread(thread.stop)

    asyncio.run(scenario())
    assert world.engine.live == 0
    world.check_invariants()
    assert world.pool.free == world.pool.total
