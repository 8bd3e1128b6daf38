"""Watches a server from outside: its memory, threads and files, and whether new callers get in."""

import asyncio
import time
import urllib.request
from dataclasses import dataclass, field

import grpc
import psutil  # type: ignore[import-untyped]

from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import registry_service_pb2 as registry_pb
from parfocal.v1.inference_service_pb2_grpc import InferenceServiceStub
from parfocal.v1.registry_service_pb2_grpc import RegistryServiceStub

_PATIENCE_S = 5.0
_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The server at one moment, `at_s` seconds after the beginning."""

    at_s: float
    rss_bytes: int
    threads: int
    files: int


@dataclass
class Watch:
    """What was seen: samples, seconds that new callers needed, and what they were refused with."""

    samples: list[Sample] = field(default_factory=list)
    entered_s: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


async def watch(address: str, metrics_url: str, pid: int, seen: Watch) -> None:
    """Watches until it is cancelled."""
    server, begun = psutil.Process(pid), time.monotonic()
    while True:
        with server.oneshot():
            seen.samples.append(
                Sample(
                    time.monotonic() - begun,
                    server.memory_info().rss,
                    server.num_threads(),
                    server.num_fds(),
                )
            )
        await _enter(address, metrics_url, seen)
        await asyncio.sleep(_EVERY_S)


async def _enter(address: str, metrics_url: str, seen: Watch) -> None:
    """A new caller asks both services and the pages, each once."""
    begun = time.monotonic()
    try:
        async with grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            await InferenceServiceStub(channel).GetModel(pb.GetModelRequest(), timeout=_PATIENCE_S)
            adapters = registry_pb.ListAdaptersRequest()
            await RegistryServiceStub(channel).ListAdapters(adapters, timeout=_PATIENCE_S)
        await asyncio.to_thread(_read_page, metrics_url.replace("/metrics", "/readyz"))
    except grpc.aio.AioRpcError as error:
        seen.refused.append(f"{error.code().name}: {error.details()}")
    except OSError as error:
        seen.refused.append(f"pages: {error}")
    else:
        seen.entered_s.append(time.monotonic() - begun)


def _read_page(url: str) -> None:
    with urllib.request.urlopen(url, timeout=_PATIENCE_S) as page:
        page.read()
