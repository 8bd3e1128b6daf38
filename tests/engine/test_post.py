"""Items from another thread reach a loop's queues in order, with one wake for many."""

import asyncio
import threading
from typing import Any

from parfocal.engine import Delta
from parfocal.engine.thread import Post


class CountingLoop(asyncio.SelectorEventLoop):
    """An event loop that counts how often another thread wakes it."""

    def __init__(self) -> None:
        super().__init__()
        self.wakes = 0

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *arguments: Any, context: Any = None
    ) -> asyncio.Handle:
        """Counts, and calls."""
        self.wakes += threading.current_thread() is not threading.main_thread()
        return super().call_soon_threadsafe(callback, *arguments, context=context)


Items = asyncio.Queue[Delta | Exception]


def sent(queues: list[Items], post: Post, count: int) -> None:
    for number in range(count):
        post.send(queues[number % len(queues)], Delta("", (number,), (), None))


def numbers(queue: Items) -> list[int]:
    items = [queue.get_nowait() for _ in range(queue.qsize())]
    return [item.token_ids[0] for item in items if isinstance(item, Delta)]


def test_a_step_wakes_a_busy_loop_once_and_every_queue_gets_its_own_in_order() -> None:
    loop = CountingLoop()
    queues = [Items(), Items(), Items()]
    post = Post(loop)

    async def scenario() -> None:
        # The loop's own thread waits here, as busy as a loop can be.
        step = threading.Thread(target=sent, args=(queues, post, 99))
        step.start()
        step.join()
        await asyncio.sleep(0)

    loop.run_until_complete(scenario())

    assert loop.wakes == 1
    assert [numbers(queue) for queue in queues] == [list(range(first, 99, 3)) for first in range(3)]
    loop.close()


def test_nothing_is_left_lying_while_the_loop_reads() -> None:
    async def scenario() -> list[int]:
        queue = Items()
        post = Post(asyncio.get_running_loop())
        step = threading.Thread(target=sent, args=([queue], post, 10_000))
        step.start()
        async with asyncio.timeout(60):
            items = [await queue.get() for _ in range(10_000)]
        step.join()
        return [item.token_ids[0] for item in items if isinstance(item, Delta)]

    assert asyncio.run(scenario()) == list(range(10_000))


def test_a_closed_loop_has_nobody_left_to_read() -> None:
    loop = asyncio.new_event_loop()
    loop.close()

    queue = Items()
    Post(loop).send(queue, Delta("", (1,), (), None))

    assert queue.empty()
