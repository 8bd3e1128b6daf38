"""What an engine does before its first request: a short one for the base and each pinned adapter."""

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
# Far more than fetching any adapter takes: a longer wait is for memory that is never freed.
_PIN_S = 600.0


def warm_up(engine: Engine, pinned: Iterable[AdapterKey]) -> None:
    """Runs the base once, so that no caller pays for lazy initialisation, and pins adapters.

    For an engine that no thread steps yet. Raises what the engine raises when it refuses an adapter.
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
    """The completion of a two-token prompt; raises the error that refused it."""
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
