"""Runs a real engine to the end of its work, on the calling thread."""

import time
from pathlib import Path

from fakes.engine.folder_source import FolderSource
from parfocal.engine import Completion, Delta, EngineConfig, Request
from parfocal.engine.engine import Engine
from parfocal.engine.loading import build_engine, load_base


class Collector:
    """Takes the deltas of many requests; `faults` tells which streams are not whole.

    It raises nothing while it takes them: an engine goes on without a caller who fails.
    """

    def __init__(self) -> None:
        self.completions: dict[str, Completion] = {}
        self.errors: dict[str, Exception] = {}
        self.texts: dict[str, str] = {}
        self.tokens: dict[str, tuple[int, ...]] = {}
        self.faults: list[str] = []

    def emit(self, request_id: str, item: Delta | Exception) -> None:
        """Takes one item of a request's stream."""
        if request_id in self.completions or request_id in self.errors:
            self.faults.append(f"{request_id} got an item after its end")
        if isinstance(item, Exception):
            self.errors[request_id] = item
            return
        self.texts[request_id] = self.texts.get(request_id, "") + item.text
        self.tokens[request_id] = self.tokens.get(request_id, ()) + item.token_ids
        if item.completion is not None:
            if self.texts[request_id] != item.completion.text:
                self.faults.append(f"the deltas of {request_id} do not add up to its text")
            if self.tokens[request_id] != item.completion.token_ids:
                self.faults.append(f"the deltas of {request_id} do not add up to its tokens")
            self.completions[request_id] = item.completion

    @property
    def ended(self) -> int:
        """Returns how many requests have ended."""
        return len(self.completions) + len(self.errors)


def open_engine(base: Path, adapters: dict[str, Path], config: EngineConfig) -> Engine:
    """Returns an engine over a base folder and adapter folders by digest."""
    return build_engine(load_base(base, config), config, FolderSource(adapters))


def run_all(engine: Engine, requests: list[Request], seconds: float = 120.0) -> Collector:
    """Submits the requests at once and steps until all have ended."""
    collector = Collector()
    for request in requests:
        engine.submit(request, lambda item, key=request.request_id: collector.emit(key, item))  # type: ignore[misc]
    until = time.monotonic() + seconds
    while collector.ended < len(requests):
        assert time.monotonic() < until, "the engine did not finish in time"
        if not engine.step():
            engine.wait(0.01)
    assert not collector.faults
    return collector
