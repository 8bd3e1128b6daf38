"""The logits that an engine draws each token from, heard where the backend returns them."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from fakes.engine.folder_source import FolderSource
from parfocal.engine import EngineConfig
from parfocal.engine.engine import Engine
from parfocal.engine.loading import build_engine
from parfocal.engine.model import Backend, Computing, Forward, ResidentBase
from parfocal.engine.scheduling import LaidRow


class Heard:
    """What was heard: `logits` by request and by number of the token drawn from them.

    `chunks` are the numbers of tokens that each request computed at once, and `begun` how often it began at
    its first token.
    """

    def __init__(self) -> None:
        self.logits: dict[str, dict[int, torch.Tensor]] = defaultdict(dict)
        self.chunks: dict[str, list[int]] = defaultdict(list)
        self.begun: dict[str, int] = defaultdict(int)

    def take(self, laid: list[LaidRow], last: list[int], logits: torch.Tensor) -> None:
        """Keeps what one step computed."""
        places = {place: row for place, row in zip(last, logits, strict=False)}
        for item in laid:
            name = item.row.request_id
            self.chunks[name].append(item.tokens)
            self.begun[name] += item.row.start == 0
            if item.row.sampling is not None:
                self.logits[name][item.row.sampling.position] = places[item.end - 1].clone()

    def of(self, request: str) -> torch.Tensor:
        """Returns a request's logits `[tokens, vocabulary]`."""
        rows = self.logits[request]
        return torch.stack([rows[number] for number in range(len(rows))])


class _HearingForward:
    def __init__(self, forward: Forward, heard: Heard) -> None:
        self._forward, self._heard = forward, heard

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        found = self._forward.logits(laid, last)
        self._heard.take(laid, last, found)
        return found

    def states(self, laid: list[LaidRow], places: list[int]) -> torch.Tensor:
        return self._forward.states(laid, places)

    def head(self, states: torch.Tensor) -> torch.Tensor:
        return self._forward.head(states)


class _HearingBackend:
    """A backend, all of whose answers are heard."""

    def __init__(self, backend: Backend, heard: Heard) -> None:
        self._backend, self._heard = backend, heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def computing(self, *given: Any) -> Computing:
        found = self._backend.computing(*given)
        return replace(found, forward=_HearingForward(found.forward, self._heard))


def hearing(base: ResidentBase, heard: Heard) -> ResidentBase:
    """Returns the base with its logits heard."""
    return replace(base, backend=cast(Backend, _HearingBackend(base.backend, heard)))


def open_heard_engine(
    base: ResidentBase, adapters: dict[str, Path], config: EngineConfig
) -> tuple[Engine, Heard]:
    """Returns an engine over a base, and what is heard of it."""
    heard = Heard()
    return build_engine(hearing(base, heard), config, FolderSource(adapters)), heard
