"""How an rpc under way is ended from outside with an error that its caller is told; who waits for its end."""

import asyncio
import weakref
from collections.abc import Callable
from contextvars import ContextVar


class Ending:
    """The end of the rpc that a task serves; `error` is why it was ended, if it was."""

    def __init__(self, task: "asyncio.Task[object]") -> None:
        # The task's own variables have the ending: held by it, each request would live in a cycle.
        self._task = weakref.ref(task)
        self.error: Exception | None = None

    @classmethod
    def of_this_task(cls) -> "Ending":
        """That of the rpc that the running task serves: gRPC gives each rpc a task of its own."""
        task, known = current_task(), _ending.get()
        if known is not None and known._task() is task:  # not one that a task has from whoever made it
            return known
        ending = cls(task)
        # Never reset: the task's variables end with it.
        _ending.set(ending)
        return ending

    def end(self, error: Exception) -> None:
        """Cancels the rpc; its caller gets `error`. No effect when it is called again."""
        task = self._task()
        if self.error is None and task is not None:
            self.error = error
            task.cancel()


_ending: ContextVar[Ending | None] = ContextVar("parfocal-ending", default=None)


def cause_of_end() -> Exception | None:
    """Why the rpc that this task serves was ended from outside, None if it was not; undoes the cancelling."""
    ending = _ending.get()
    if ending is None or ending.error is None:
        return None
    current_task().uncancel()
    return ending.error


def when_this_task_ends(call: Callable[[], object]) -> None:
    """Calls when the rpc that this task serves has ended in whatever way, or its part of a batch has.

    Not gRPC's own `add_done_callback`, which ties each rpc into a cycle: until the garbage collector comes,
    after thousands of rpcs, gRPC counts their streams as open, and then refuses every new one.
    """
    current_task().add_done_callback(lambda _: call())


def current_task() -> "asyncio.Task[object]":
    """The task of the rpc that is served now."""
    task = asyncio.current_task()
    assert task is not None, "gRPC serves each rpc in a task of its own"
    return task
