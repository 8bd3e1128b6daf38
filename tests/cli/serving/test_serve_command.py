"""`parfocal serve` as a process of its own: settings told at the start, answers, a drain on SIGTERM."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import typer.main
from typer.testing import Result

from oracle.bases import configurations, write_base
from parfocal.cli.app import build_app
from parfocal.cli.asking import Patience, wait_until_serving
from parfocal.rpc import open_channel, remote_error
from parfocal.server import ServeConfig, resolve_settings, settings_of
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc

Run = Callable[..., Result]
FREE = ("--grpc-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--metrics-address=127.0.0.1:0")


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
def _serving(*flags: str, module: Sequence[str] = ("parfocal.cli",), **environment: str) -> Iterator[Process]:
    command = [sys.executable, "-m", *module, "serve", *flags]
    around = {name: value for name, value in os.environ.items() if not name.startswith("PARFOCAL_")}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**around, **environment}) as popen:
        process = Process(popen)
        try:
            yield process
        finally:
            popen.kill()
            process.reader.join()


@contextmanager
def _heard_by_systemd(folder: Path) -> Iterator[Callable[[], list[str]]]:
    """Yields a function that returns what was sent to the socket `notify` in the folder."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(folder / "notify"))
        listener.setblocking(False)

        def heard() -> list[str]:
            messages = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    messages.append(listener.recv(4096).decode())
            return messages

        yield heard


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("bases") / "llama", configurations()["llama"])


@dataclass(frozen=True, slots=True)
class Life:
    """What a server that cannot reach its registry answered until SIGTERM ended it, and what it said.

    `told` is what systemd heard.
    """

    registry: str
    lines: list[str]
    code: int
    told: list[str]
    warning: str
    answer: pb.GenerateResponse
    unreachable: str
    streamed: pb.GenerateResponse
    refusal: str


@pytest.fixture(scope="module")
def life(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    folder = tmp_path_factory.mktemp("life")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = f"grpc://127.0.0.1:{taken.getsockname()[1]}"

    async def scenario(process: Process) -> tuple[str, pb.GenerateResponse, str, pb.GenerateResponse, str]:
        address = await asyncio.to_thread(process.wait_for, r"Serving llama at (\S+)")
        warning = await asyncio.to_thread(process.wait_for, r"(registry grpc.*)")
        async with open_channel(address) as channel:
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            few = pb.Stop(max_tokens=2, ignore_eos=True)
            answer = await stub.Generate(pb.GenerateRequest(prompt="Hello", stop=few))
            with pytest.raises(grpc.aio.AioRpcError) as unreachable:
                await stub.Generate(pb.GenerateRequest(prompt="Hello", adapter="team/x", stop=few))
            stop = pb.Stop(max_tokens=150, ignore_eos=True)
            stream = aiter(stub.GenerateStream(pb.GenerateRequest(prompt="Hello", stop=stop)))
            await anext(stream)
            process.popen.send_signal(signal.SIGTERM)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                while True:
                    await stub.Generate(pb.GenerateRequest(prompt="Hi", stop=pb.Stop(max_tokens=1)))
            replies = [reply async for reply in stream]
        reasons = remote_error(unreachable.value).status, remote_error(refused.value).reason
        return warning, answer, reasons[0], replies[-1].final, reasons[1]

    flags = (*FREE, "--dtype", "float32", "--kv-cache-bytes", "4MiB", "--registry", dead)
    environment = {"PARFOCAL_BASE": str(base), "NOTIFY_SOCKET": str(folder / "notify")}
    with _heard_by_systemd(folder) as heard, _serving(*flags, **environment) as process:
        found = asyncio.run(scenario(process))
        code = process.end()
        told = heard()
    return Life(dead, process.lines, code, told, *found)


def test_systemd_is_told_how_the_server_fares(life: Life) -> None:
    assert life.told[0].startswith("STATUS=Loading the base ")
    assert life.told[1].startswith("READY=1\nSTATUS=Serving llama at 127.0.0.1:")
    assert life.told[2:] == ["STOPPING=1\nSTATUS=Draining"]


def test_sigterm_lets_running_streams_finish_and_refuses_new_ones(life: Life, base: Path) -> None:
    assert life.streamed.finish_reason == pb.FINISH_REASON_LENGTH
    assert life.streamed.usage.completion_tokens == 150
    assert life.refusal == "DRAINING"
    assert life.code == 0
    assert life.lines[-1] == "Stopped"
    assert not any("Loading weights" in line or "gemm_4bit" in line for line in life.lines)
    lines = (line.split(" = ") for line in life.lines if " = " in line)
    settings = {name.strip(): value for name, value in lines}
    assert settings["kv_cache_bytes"] == "4194304  (--kv-cache-bytes)"
    memory = [line.split()[1] for line in life.lines if line.startswith("Memory: ")]
    assert memory == ["base", "adapters", "host", "KV", "workspace", "total"]
    assert settings["base"] == f"{base}  (PARFOCAL_BASE)"


def test_a_registry_that_does_not_answer_is_told_of_and_the_base_is_served(life: Life) -> None:
    said = f"registry {life.registry} does not answer; what was known of it, 0 references, is served on"
    assert life.warning.startswith(said)
    assert (life.answer.usage.completion_tokens, life.unreachable) == (2, "UNAVAILABLE")
    assert sum("does not answer" in line for line in life.lines) == 1


def test_nobody_who_reads_what_it_says_is_no_reason_to_stop(base: Path, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/grpc.sock"
    where = (
        "--grpc-address",
        address,
        "--http-address=127.0.0.1:0",
        "--metrics-address=127.0.0.1:0",
        "--kv-cache-bytes",
        "4MiB",
    )
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "parfocal.cli", "serve", "--base", str(base), *where]
    registry = ("--registry", str(tmp_path / "registry"))
    with subprocess.Popen([*command, *registry], stderr=writing) as popen:
        os.close(writing)
        try:
            wait_until_serving(address, Patience.of(120))
            popen.send_signal(signal.SIGTERM)
            assert popen.wait(60) == 0
        finally:
            popen.kill()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_server_whose_device_dies_ends_its_requests_and_itself_with_one_line(
    base: Path, tmp_path: Path, log_format: str
) -> None:
    died = tmp_path / "died"

    async def scenario(process: Process) -> grpc.aio.AioRpcError:
        address = await asyncio.to_thread(process.wait_for, r"Serving llama at ([\d.:]+)")
        async with open_channel(address) as channel:
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            stop = pb.Stop(max_tokens=400, ignore_eos=True)
            stream = aiter(stub.GenerateStream(pb.GenerateRequest(prompt="Hello", stop=stop)))
            await anext(stream)
            died.touch()
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                async for _ in stream:
                    pass
            return ended.value

    flags = ["--base", str(base), "--registry", str(tmp_path / "registry"), "--dtype", "float32"]
    flags += ["--kv-cache-bytes", "4MiB", "--log-format", log_format]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with _serving(*FREE, *flags, module=("fakes.dying_server", str(died)), **environment) as process:
        error = asyncio.run(scenario(process))
        code = process.end()

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert remote_error(error).reason == "DEVICE_LOST"
    assert code == 1
    said = process.lines[-1] if log_format == "text" else json.loads(process.lines[-1])["message"]
    line = "the device is lost: CUDA error: an illegal memory access was encountered; send the request to "
    assert said == ("parfocal: " if log_format == "text" else "") + line + "another server"
    assert int(died.read_text()) > 100_000, "full collections look at everything that was loaded"


def test_for_machines_every_line_is_an_object(base: Path, tmp_path: Path) -> None:
    async def scenario(process: Process) -> None:
        address = await asyncio.to_thread(process.wait_for, r"Serving llama at (\S+?)\"")
        async with open_channel(address) as channel:
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            await stub.Generate(
                pb.GenerateRequest(prompt="Hello", request_id="mine", stop=pb.Stop(max_tokens=2))
            )
        process.popen.send_signal(signal.SIGINT)

    where = ("--base", str(base), "--registry", str(tmp_path / "registry"), "--kv-cache-bytes", "4MiB")
    with _serving(*FREE, *where, "--log-format", "json", PARFOCAL_ACTOR="me") as process:
        asyncio.run(scenario(process))
        code = process.end()

    told = [json.loads(line) for line in process.lines]
    assert code == 0
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in told)
    [settings] = [line for line in told if line["message"] == "Settings"]
    assert settings["kv_cache_bytes"] == 4 << 20
    [request] = [line for line in told if line.get("request_id") == "mine"]
    assert (request["status"], request["adapter"], request["completion_tokens"]) == ("OK", "base", 2)
    assert told[-1]["message"] == "Stopped"


def test_a_signal_while_the_base_loads_ends_the_server_well(base: Path, tmp_path: Path) -> None:
    with _serving(*FREE, "--base", str(base), "--registry", str(tmp_path / "registry")) as process:
        process.wait_for("(Loading) the base")
        process.popen.send_signal(signal.SIGTERM)
        code = process.end()

    assert (code, process.lines[-1]) == (0, "Stopped")
    assert not any(line.startswith("Serving") for line in process.lines)


def _variables(command: Any) -> Iterator[str]:
    """Yields the environment's variables that a command or any below it reads. (Typer vendors click.)"""
    for parameter in command.params:
        given = parameter.envvar or ()
        yield from [given] if isinstance(given, str) else given
    for below in getattr(command, "commands", {}).values():
        yield from _variables(below)


def test_no_variable_of_another_command_is_a_mistake_to_the_server() -> None:
    variables = set(_variables(typer.main.get_command(build_app())))

    assert {"PARFOCAL_ACTOR", "PARFOCAL_ADDRESS"} <= variables
    for name in variables - {f"PARFOCAL_{setting.name.upper()}" for setting in settings_of(ServeConfig)}:
        resolve_settings(None, {name: "anything"}, {})
