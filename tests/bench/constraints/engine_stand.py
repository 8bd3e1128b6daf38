"""The real engine in this process, and constraints compiled for its base."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from fakes.engine.folder_source import FolderSource
from parfocal.engine import Completion, Delta, EngineConfig, Request
from parfocal.engine.constraints import Constraint, ConstraintSpec, open_compiler
from parfocal.engine.loading import build_engine, load_base


class EngineStand:
    """A base, and adapters by digest; `tokenizer` replaces its own where the texts do not matter."""

    def __init__(
        self,
        base: Path,
        adapters: Mapping[str, Path],
        config: EngineConfig,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        self.base = load_base(base, config)
        self.engine = build_engine(self.base, config, FolderSource(dict(adapters)))
        self._compiler = open_compiler(
            tokenizer or self.base.tokenizer.backend_tokenizer,
            self.base.info.vocabulary,
            self.base.info.eos_ids,
        )
        self._compiler.prepare()

    def compile(self, spec: ConstraintSpec) -> Constraint:
        """A constraint for the base."""
        return asyncio.run(self._compile(spec))

    def run(self, requests: Sequence[Request]) -> tuple[list[Completion | Exception], float]:
        """What came of the requests, in their order, and the seconds from the first step to the last end."""
        found: dict[str, Completion | Exception] = {}

        def take(name: str, item: Delta | Exception) -> None:
            if isinstance(item, Exception):
                found[name] = item
            elif item.completion is not None:
                found[name] = item.completion

        for request in requests:
            self.engine.submit(request, lambda item, name=request.request_id: take(name, item))  # type: ignore[misc]
        begun = time.perf_counter()
        while self.engine.live:
            if not self.engine.step():
                self.engine.wait(0.01)
        seconds = time.perf_counter() - begun
        return [found[request.request_id] for request in requests], seconds

    def close(self) -> None:
        """Ends its threads and processes."""
        self.engine.close()
        self._compiler.close()

    async def _compile(self, spec: ConstraintSpec) -> Constraint:
        return await self._compiler.compile(spec)
