"""An engine in this process under a bench's load: the same calls as over gRPC, without wire and server."""

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fakes.engine.folder_source import FolderSource
from parfocal.bench.errors import AnswerWrong
from parfocal.bench.load.rounds import Reply, Round, answer_all
from parfocal.bench.workloads.calls import Call
from parfocal.engine import AdapterKey, EngineConfig, Request, SilentObserver, Stop
from parfocal.engine.loading import build_engine
from parfocal.engine.model import ResidentBase
from parfocal.engine.thread import EngineThread

# The first tokens of the prompts that only bring adapters in.
_SHORT_PROMPT = (1, 2, 3)


class EngineTarget:
    """An engine on a thread of its own, with adapters from folders by name."""

    def __init__(
        self,
        base: ResidentBase,
        config: EngineConfig,
        adapters: Mapping[str, Path],
        observer: SilentObserver | None = None,
    ) -> None:
        self.engine = build_engine(base, config, FolderSource(dict(adapters)), observer)
        self._thread = EngineThread(self.engine)
        self._numbers = itertools.count()
        self._thread.start()

    def run_round(self, calls: Sequence[Call], new_tokens: int) -> Round:
        """Submits each call when it is due and reads it to its end. Raises AnswerWrong or EngineError."""
        return asyncio.run(answer_all(calls, new_tokens, lambda call: self._reply(call, new_tokens)))

    def bring_in(self, adapters: Sequence[str]) -> None:
        """Loads the adapters, as many at once as the engine does."""
        self.run_round([Call(_SHORT_PROMPT, name) for name in dict.fromkeys(adapters)], 1)

    def close(self) -> None:
        """Stops the engine's threads."""
        self._thread.stop()

    async def _reply(self, call: Call, new_tokens: int) -> Reply:
        stream = self._thread.submit(
            Request(
                f"call-{next(self._numbers)}",
                call.prompt_ids,
                AdapterKey(call.adapter, call.adapter) if call.adapter else None,
                stop=Stop(max_tokens=new_tokens, ignore_eos=True),
            )
        )
        arrivals: list[float] = []
        cached = 0
        async for delta in stream:
            arrivals += [time.perf_counter()] * len(delta.token_ids)
            if delta.completion is not None:
                cached = delta.completion.cached_tokens
        if len(arrivals) != new_tokens:
            raise AnswerWrong(f"an answer has {len(arrivals)} tokens, not {new_tokens}")
        return Reply(arrivals, cached)
