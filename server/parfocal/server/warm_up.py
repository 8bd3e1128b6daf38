"""What an engine does before its first caller: one short request for the base and each pinned adapter."""

import time
from collections.abc import Iterable

from parfocal.engine import (
    AdapterKey,
    Completion,
    Delta,
    Engine,
    EngineMisconfigured,
    FinishReason,
    Request,
    Stop,
)

_IDLE_S = 0.05
# Far more than any adapter takes to be fetched: who waits this long waits for memory that nobody gives back.
_PIN_S = 600.0


def warm_up(engine: Engine, pinned: Iterable[AdapterKey]) -> None:
    """Runs the base once, so that no caller pays for what is made on first use, and pins adapters.

    For an engine that no thread steps yet. Raises what the engine refuses an adapter with.
    """
    _run(engine, None)
    for adapter in pinned:
        if _run(engine, adapter).finish_reason is FinishReason.DEADLINE:
            raise EngineMisconfigured(
                f"adapter {adapter.name}@{adapter.version} found no room on the device beside those pinned "
                "before it; pin fewer or raise adapter_bytes",
                field="pin",
            )
        engine.pin(adapter)


def _run(engine: Engine, adapter: AdapterKey | None) -> Completion:
    """Returns what a prompt of two tokens and two more became; raises what it was refused with."""
    items: list[Delta | Exception] = []
    deadline = None if adapter is None else time.monotonic() + _PIN_S
    stop = Stop(max_tokens=2, ignore_eos=True)
    engine.submit(Request("warm-up", (0, 0), adapter, stop=stop, deadline=deadline), items.append)
    while engine.live:
        if not engine.step():
            engine.wait(_IDLE_S)
    last = items[-1]
    if isinstance(last, Exception):
        raise last
    assert last.completion is not None, "a request ends with an error or a completion"
    return last.completion
