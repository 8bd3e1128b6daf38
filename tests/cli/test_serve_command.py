"""`parfocal serve` as a process of its own: settings told at the start, answers, a drain on SIGTERM."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from typer.testing import Result

from oracle.bases import configurations, write_base
from parfocal.rpc import open_channel, remote_error
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc

Run = Callable[..., Result]


@dataclass
class Process:
    """A running `parfocal serve` and what it has said so far."""

    popen: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    said: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._follow)
        self.reader.start()

    def end(self) -> int:
        """Waits until the process has ended and all it said was read; returns its exit status."""
        code = self.popen.wait(60)
        self.reader.join()
        return code

    def _follow(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            with self.said:
                self.lines.append(line.rstrip("\n"))
                self.said.notify_all()

    def wait_for(self, pattern: str) -> str:
        """Returns the first group of the line that matches, once it was said."""

        def found() -> str | None:
            matches = (re.search(pattern, line) for line in self.lines)
            return next((match[1] for match in matches if match), None)

        with self.said:
            assert self.said.wait_for(lambda: found() or self.popen.poll() is not None, timeout=120)
        text = found()
        assert text is not None, "\n".join(self.lines)
        return text


@contextmanager
def _serving(*flags: str, **environment: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "parfocal.cli", "serve", *flags]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as popen:
        process = Process(popen)
        try:
            yield process
        finally:
            popen.kill()
            process.reader.join()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("bases") / "llama", configurations()["llama"])


def test_sigterm_lets_running_streams_finish_and_refuses_new_ones(base: Path, tmp_path: Path) -> None:
    async def scenario(process: Process) -> tuple[pb.GenerateResponse, str]:
        address = await asyncio.to_thread(process.wait_for, r"Serving llama at (\S+)")
        async with open_channel(address) as channel:
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            stop = pb.Stop(max_tokens=150, ignore_eos=True)
            stream = aiter(stub.GenerateStream(pb.GenerateRequest(prompt="Hello", stop=stop)))
            await anext(stream)
            process.popen.send_signal(signal.SIGTERM)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                while True:
                    await stub.Generate(pb.GenerateRequest(prompt="Hi", stop=pb.Stop(max_tokens=1)))
            replies = [reply async for reply in stream]
            return replies[-1].final, remote_error(refused.value).reason

    flags = ("--grpc-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0")
    sizes = ("--dtype", "float32", "--kv-cache-bytes", "4MiB")
    with _serving(
        *flags, *sizes, PARFOCAL_BASE=str(base), PARFOCAL_REGISTRY=str(tmp_path / "registry")
    ) as process:
        final, reason = asyncio.run(scenario(process))
        code = process.end()

    assert (final.finish_reason, final.usage.completion_tokens) == (pb.FINISH_REASON_LENGTH, 150)
    assert reason == "DRAINING"
    assert code == 0
    assert process.lines[-1] == "Stopped"
    assert not any("Loading weights" in line or "gemm_4bit" in line for line in process.lines)
    settings = dict(line.split(" = ") for line in process.lines if " = " in line)
    assert settings["kv_cache_bytes".ljust(16)] == "4194304  (--kv-cache-bytes)"
    memory = [line.split()[1] for line in process.lines if line.startswith("Memory: ")]
    assert memory == ["base", "adapters", "host", "KV", "workspace", "total"]
    assert settings["base".ljust(16)] == f"{base}  (PARFOCAL_BASE)"


@pytest.fixture
def clean_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Returns a patch of an environment that names a registry."""
    monkeypatch.setenv("PARFOCAL_REGISTRY", str(tmp_path / "registry"))
    return monkeypatch


@pytest.mark.parametrize(
    ("flags", "environment", "expected"),
    [
        (["--base", "/nonexistent/base"], {}, "/nonexistent/base"),
        (["--base", "tiny", "--grpc-address", "nowhere"], {}, "nowhere"),
        (["--base", "tiny", "--metrics-address", "nowhere"], {}, "nowhere"),
        ([], {"PARFOCAL_SLOT": "3"}, "PARFOCAL_SLOTS"),
        ([], {"PARFOCAL_SLOTS": "none"}, "a whole number"),
        (["--config", "/nonexistent/parfocal.toml"], {}, "/nonexistent/parfocal.toml"),
    ],
)
def test_a_server_that_cannot_start_says_why_in_one_line(
    run: Run,
    clean_registry: pytest.MonkeyPatch,
    flags: list[str],
    environment: dict[str, str],
    expected: str,
) -> None:
    for name, value in environment.items():
        clean_registry.setenv(name, value)

    result = run("serve", *flags)

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("parfocal: ")
    assert expected in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "flags", [["--slots", "none"], ["--slots", "0"], ["--dtype", "int4"], ["--slot", "3"]]
)
def test_a_bad_flag_is_a_mistake_in_usage(run: Run, flags: list[str]) -> None:
    result = run("serve", *flags)

    assert result.exit_code == 2
    assert flags[0] in result.stderr
