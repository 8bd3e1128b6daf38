"""The server under test as a process, and the client that takes the time: with fakes on the other side."""

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from fakes.serving import serving
from parfocal.bench.errors import AnswerWrong, ServerNotReady
from parfocal.bench.load.client import run_round
from parfocal.bench.load.rounds import Pace, Reply, Round, answer_all
from parfocal.bench.load.stages import SilentStages
from parfocal.bench.servers.process import ServerProcess, server_process
from parfocal.bench.servers.watch import ServerWatch, series_in
from parfocal.bench.workloads.calls import Call
from parfocal.engine import AdapterKey
from parfocal.rpc import RemoteError

KEY = AdapterKey("sha256:" + "0" * 64, "bench/adapter-0", 1)
CALLS = [Call((1, 2, 3), "bench/adapter-0"), Call((4, 5), "")]

READY = """
import asyncio, os, sys
from parfocal.rpc import WireServer

async def serve():
    server = WireServer("127.0.0.1:0", [])
    await server.start()
    print("slots:", sys.argv[1:], "pid:", os.getpid(), flush=True)
    print(f"Serving fake at 127.0.0.1:{server.port}", flush=True)
    await server.run_until_terminated(0.0)

asyncio.run(serve())
"""


def _python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_server_is_ready_when_it_says_so_and_gone_when_the_scope_ends(tmp_path: Path) -> None:
    log = tmp_path / "log"

    with server_process({"max_requests": "3"}, log, _python(READY), ready_s=60.0) as server:
        assert server.metrics_url is None
        assert server.address.startswith("127.0.0.1:")
        said = log.read_text()
        pid = int(said.split("pid:")[1].split()[0])
        os.kill(pid, 0)
        assert server.pid == pid

    assert "--max-requests=3" in said
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_that_ends_before_it_is_ready_is_quoted(tmp_path: Path) -> None:
    failing = _python("import sys; print('base is too large'); sys.exit(3)")

    with (
        pytest.raises(ServerNotReady, match=r"ended with code 3.*base is too large"),
        server_process({}, tmp_path / "log", failing, ready_s=60.0),
    ):
        pytest.fail("it was never ready")


def test_a_server_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    sleeping = ("sh", "-c", "echo $$; exec sleep 600")

    with (
        pytest.raises(ServerNotReady, match="not ready in time"),
        server_process({}, log, sleeping, ready_s=2.0),
    ):
        pytest.fail("it was never ready")

    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text()), 0)


def _round(calls: list[Call], new_tokens: int, answering: AdapterKey = KEY) -> Round:
    async def run() -> Round:
        async with serving() as served:
            served.resolver.adapters["bench/adapter-0"] = answering
            address = f"127.0.0.1:{served.wire.port}"
            return await asyncio.to_thread(run_round, address, calls, new_tokens)

    return asyncio.run(run())


def test_a_round_has_a_time_for_every_token_of_every_answer() -> None:
    begun = time.perf_counter()
    taken = _round(CALLS, new_tokens=4)
    longest = time.perf_counter() - begun

    assert taken.tokens == 8
    assert [len(answer.gaps_s) for answer in taken.answers] == [3, 3]
    assert [answer.cached_tokens for answer in taken.answers] == [2, 2]
    for answer in taken.answers:
        assert min(answer.gaps_s) >= 0.0
        assert 0.0 < answer.first_token_s + sum(answer.gaps_s) <= taken.seconds <= longest


def test_one_failing_request_fails_the_round() -> None:
    with pytest.raises(RemoteError, match="no adapter bench/unknown") as failure:
        _round([*CALLS, Call((1,), "bench/unknown")], new_tokens=4)

    assert failure.value.reason == "ADAPTER_NOT_FOUND"


def test_an_answer_of_another_length_fails_the_round() -> None:
    with pytest.raises(AnswerWrong, match="has 4 tokens"):
        _round(CALLS, new_tokens=5)


def test_an_answer_of_another_adapter_fails_the_round() -> None:
    other = AdapterKey("sha256:" + "1" * 64, "bench/adapter-1", 1)

    with pytest.raises(AnswerWrong, match="bench/adapter-1 answered a request for bench/adapter-0"):
        _round(CALLS, new_tokens=4, answering=other)


def test_a_metrics_page_is_added_up_by_state_and_outcome() -> None:
    page = """# HELP parfocal_kv_blocks KV cache blocks
parfocal_kv_blocks{state="used"} 3.0
parfocal_kv_blocks{state="free"} 9.0
parfocal_requests_running 2.0
parfocal_requests_total{adapter="a",outcome="length",version="1"} 4.0
parfocal_requests_total{adapter="b",outcome="length",version="2"} 5.0
parfocal_queue_seconds_sum 0.25
"""
    found = series_in(page)

    assert found["parfocal_kv_blocks"] == {"used": 3, "free": 9}
    assert found["parfocal_requests_running"] == {"": 2}
    assert found["parfocal_requests_total"] == {"length": 9}


def test_memory_is_read_at_every_tenth_of_a_round_and_before_the_first(tmp_path: Path) -> None:
    watch = ServerWatch(ServerProcess("127.0.0.1:1", os.getpid(), tmp_path / "log"), SilentStages())

    for _ in range(2):
        answered = watch.begin_round(20)
        for _ in range(20):
            answered()

    assert [sample.requests for sample in watch.memory] == list(range(0, 41, 2))
    assert all(sample.rss_bytes > 0 for sample in watch.memory)


def test_no_more_calls_are_in_flight_than_may_be() -> None:
    calls, open_calls, most, answered = [CALLS[0]] * 7, 0, 0, list[int]()

    async def ask(_: Call) -> Reply:
        nonlocal open_calls, most
        open_calls += 1
        most = max(most, open_calls)
        await asyncio.sleep(0)
        open_calls -= 1
        return Reply([time.perf_counter()], 0)

    taken = asyncio.run(answer_all(calls, 1, ask, Pace(3, lambda: answered.append(1))))

    assert (most, len(answered), len(taken.answers)) == (3, 7, 7)
