"""Watches our server's process over a long run: its memory, and whether everything comes back at the end."""

import re
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from parfocal.bench.load import Stages
from parfocal.bench.servers.process import ServerProcess
from parfocal.rpc import open_blocking_channel, remote_error
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc

# Memory is read so many times in a round.
_PARTS = 10
_PAGE = 1000
_TIMEOUT_S = 10.0
_RSS = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)
_SERIES = re.compile(r'^(parfocal_\w+)(?:\{(?:.*?\b(?:state|outcome)="(\w+)".*?)?\})? (\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MemorySample:
    """The server's resident memory after so many requests were answered."""

    requests: int
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Rest:
    """What a server holds when nobody asks anything, and how its requests ended."""

    requests_running: int
    requests_waiting: int
    blocks: Mapping[str, int]
    pins: int
    adapters: int
    outcomes: Mapping[str, int]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is held: no request, no block, no pin."""
        return not (self.requests_running or self.requests_waiting or self.blocks.get("used") or self.pins)


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen of a server: its memory over the whole run, and what was left at the end."""

    memory: tuple[MemorySample, ...]
    rest: Rest

    @property
    def grown_bytes(self) -> int:
        """How much memory was added after the first tenth of all requests."""
        settled = [each for each in self.memory if each.requests >= self.memory[-1].requests / _PARTS]
        return self.memory[-1].rss_bytes - settled[0].rss_bytes if settled else 0


@dataclass(slots=True)
class ServerWatch:
    """Counts answers and reads the process's memory at each tenth of a round, where there is a /proc."""

    process: ServerProcess
    stages: Stages
    answered: int = 0
    memory: list[MemorySample] = field(default_factory=list)

    def begin_round(self, requests: int) -> Callable[[], None]:
        """What to call after each of so many answers."""
        if not self.memory:
            self._sample()
        before = self.answered

        def count() -> None:
            self.answered += 1
            done = self.answered - before
            if done * _PARTS // requests > (done - 1) * _PARTS // requests:
                self._sample()
                self.stages.within(done / requests)

        return count

    def end(self) -> Watched | None:
        """What was seen. Raises RemoteError."""
        url = self.process.metrics_url
        if url is None or not self.memory:
            return None
        return Watched(tuple(self.memory), _rest(url, self.process.address))

    def _sample(self) -> None:
        rss = rss_bytes(self.process.pid)
        if rss is not None:
            self.memory.append(MemorySample(self.answered, rss))


def rss_bytes(pid: int) -> int | None:
    """A process's resident memory; None on systems without /proc."""
    try:
        found = _RSS.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return None
    return 1024 * int(found[1]) if found else None


def series_in(page: str) -> dict[str, dict[str, int]]:
    """The values of a metrics page by name and by `state` or `outcome`, added up over other labels.

    >>> series_in('parfocal_kv_blocks{state="used"} 3.0')["parfocal_kv_blocks"]["used"]
    3
    """
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for name, label, value in _SERIES.findall(page):
        if float(value).is_integer():
            found[name][label] += int(float(value))
    return found


def _rest(url: str, address: str) -> Rest:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
        series = series_in(answer.read().decode())
    with open_blocking_channel(address) as channel:
        try:
            held = _loaded(pb_grpc.InferenceServiceStub(channel))
        except grpc.RpcError as error:
            raise remote_error(error) from error
    return Rest(
        requests_running=series["parfocal_requests_running"][""],
        requests_waiting=series["parfocal_requests_waiting"][""],
        blocks=dict(series["parfocal_kv_blocks"]),
        pins=sum(each.pins for each in held),
        adapters=len(held),
        outcomes={name: count for name, count in series["parfocal_requests_total"].items() if count},
    )


def _loaded(stub: "pb_grpc.InferenceServiceStub") -> list[pb.LoadedAdapter]:
    held: list[pb.LoadedAdapter] = []
    token = ""
    while True:
        page = stub.ListLoadedAdapters(pb.ListLoadedAdaptersRequest(page_size=_PAGE, page_token=token))
        held += page.adapters
        token = page.next_page_token
        if not token:
            return held
