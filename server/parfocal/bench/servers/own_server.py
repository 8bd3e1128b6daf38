"""Our own server under test: a process on a workload's registry and settings, watched while it answers."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from parfocal.bench.load import OWN_NAME, Pace, Round, Stages, run_round
from parfocal.bench.servers.process import ServerProcess, server_process
from parfocal.bench.servers.watch import ServerWatch
from parfocal.bench.workloads import Call, Workload

_MIN_KV_CACHE_BYTES = 1 << 30
_MIN_WAITING = 1024


@dataclass(frozen=True, slots=True)
class OwnServer:
    """Our server under load."""

    process: ServerProcess
    watch: ServerWatch
    in_flight: int | None
    answers_base: bool
    name: str = OWN_NAME

    def run_round(self, calls: Sequence[Call], new_tokens: int) -> Round:
        """Sends each call when it is due. Raises RemoteError or AnswerWrong."""
        pace = Pace(self.in_flight, self.watch.begin_round(len(calls)))
        return run_round(self.process.address, calls, new_tokens, pace)


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """What a server of ours needs beside a workload: folders, and the device's name."""

    base: Path
    registry: Path
    device: str
    log: Path

    def settings(self, workload: Workload) -> dict[str, str]:
        """Room in the KV cache for a whole batch, twice: no request is ever computed again."""
        context = workload.prompt_tokens + workload.new_tokens
        kv_bytes = 2 * workload.batch * context * workload.sizes().kv_values() * 4
        return {
            "base": str(self.base),
            "registry": str(self.registry),
            "grpc_address": "127.0.0.1:0",
            "http_address": "127.0.0.1:0",
            "metrics_address": "127.0.0.1:0",
            "device": self.device,
            "dtype": workload.dtype,
            "adapter_dtype": workload.adapter_dtype,
            "kernels": workload.kernels,
            "activation_bits": str(workload.activation_bits),
            "slots": str(workload.server_slots),
            "max_requests": str(workload.batch),
            "max_waiting": str(max(_MIN_WAITING, workload.requests)),
            "kv_cache_bytes": str(max(_MIN_KV_CACHE_BYTES, kv_bytes)),
        }


@contextlib.contextmanager
def own_server(
    place: ServerPlace, workload: Workload, stages: Stages, with_base: bool = True
) -> Iterator[OwnServer]:
    """Yields a server that is ready for the workload; it has ended when the scope is left."""
    with server_process(place.settings(workload), place.log) as process:
        yield OwnServer(process, ServerWatch(process, stages), workload.in_flight, with_base)
