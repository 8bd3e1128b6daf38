"""The base as it is served, in this process: the serving engine, asked in batches that mix all adapters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from parfocal.engine import (
    AdapterFolder,
    AdapterKey,
    Completion,
    Delta,
    Engine,
    EngineConfig,
    RankAndScale,
    Request,
)
from parfocal.engine.loading import build_engine, load_base
from parfocal.registry import read_peft_folder

Progress = Callable[[int, int], None]

_WAIT_S = 0.05
_WAITING = 256
_SPARE_BLOCKS = 2


def peft_adapter(folder: Path) -> AdapterFolder:
    """A PEFT folder as the engine takes it; raises AdapterRefused."""
    read = read_peft_folder(folder)
    rslora = read.config.use_rslora
    targets = [module.target for module in read.modules]
    return AdapterFolder(folder, {each.path: RankAndScale(each.rank, each.scale(rslora)) for each in targets})


@dataclass(frozen=True, slots=True)
class Room:
    """How much is asked at once: requests that run together, and the longest of them in tokens."""

    requests: int = 32
    longest: int = 4096


class ServedBase:
    """A base with adapters, by their digests, on the engine that serves them. Use as a context."""

    def __init__(
        self,
        base: Path,
        adapters: Mapping[str, AdapterFolder],
        device: str = "auto",
        room: Room | None = None,
    ) -> None:
        """Loads the base.

        Raises:
            EngineError: the base cannot be served, or the memory does not hold it.
        """
        room = room or Room()
        config = EngineConfig(device=device, slots=max(1, len(adapters)), max_requests=room.requests)
        loaded = load_base(base, config)
        self.context = loaded.info.context_tokens
        longest = min(room.longest, self.context)
        blocks = room.requests * (-(-longest // config.block_tokens) + _SPARE_BLOCKS)
        bytes_needed = blocks * config.block_tokens * loaded.kv_shape.token_bytes
        self._engine: Engine = build_engine(
            loaded, replace(config, kv_cache_bytes=bytes_needed), _Folders(adapters)
        )
        self._asked = 0

    def __enter__(self) -> "ServedBase":
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()

    def ask(self, requests: Sequence[Request], progress: Progress | None = None) -> list[Completion]:
        """The completions of all requests, in order; each gets an id of its own.

        Raises:
            EngineError: one of them was refused, or the engine failed.
        """
        found: dict[str, Completion] = {}
        failed: list[Exception] = []

        def take(item: Delta | Exception) -> None:
            if isinstance(item, Exception):
                failed.append(item)
            elif item.completion is not None:
                found[item.completion.request_id] = item.completion

        named = [replace(each, request_id=f"eval-{self._asked + at}") for at, each in enumerate(requests)]
        self._asked += len(named)
        left = iter(named)
        more = True
        while more or self._engine.live:
            while more and self._engine.live < _WAITING:
                request = next(left, None)
                more = request is not None
                if request is not None:
                    self._engine.submit(request, take)
            if not self._engine.step():
                self._engine.wait(_WAIT_S)
            if failed:
                raise failed[0]
            if progress is not None:
                progress(len(found), len(named))
        return [found[each.request_id] for each in named]


@dataclass(frozen=True, slots=True)
class _Folders:
    """Adapters' folders by digest."""

    adapters: Mapping[str, AdapterFolder]

    def folder(self, adapter: AdapterKey) -> AdapterFolder:
        return self.adapters[adapter.digest]
