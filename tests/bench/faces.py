"""Measures what the wire costs: 64 streams into the engine itself, over gRPC and over REST, in one run.

    .venv/bin/python tests/bench/faces.py --rounds 8

One process holds the server; the callers of a face are a process of their own, since callers never share the
server's interpreter. The three take turns, round by round: 64 requests at once on 16 adapters of rank 16, 32
tokens in and 64 out, greedy, on `--shape`. Prints tokens per second and, for each face, the geometric mean of
its rounds' ratios to the engine's, with its standard error. `--json FILE` writes all figures.
"""

import argparse
import asyncio
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from parfocal.bench.load import Pace, run_round
from parfocal.bench.made import cached_base, publish_adapters, registry_folder
from parfocal.bench.workloads import Call, Workload, calls_of_round
from parfocal.engine import EngineThread, Request, Stop
from parfocal.registry import FolderRegistry
from parfocal.server import ServeConfig
from parfocal.server.assembly import Loaded, load, running
from parfocal.server.requests import AdapterResolver

FACES = ("engine", "grpc", "rest")
_FREE = "127.0.0.1:0"


def workload(shape: str) -> Workload:
    """The requests of a round."""
    return Workload(shape=shape, requests=64, adapters=16, rank=16, prompt_tokens=32, new_tokens=64)


async def ask_engine(
    engine: EngineThread, resolver: AdapterResolver, calls: list[Call], tokens: int
) -> float:
    """Gives the calls to the engine itself, without a wire; the seconds until all are answered."""

    async def answer(number: int, call: Call) -> None:
        adapter = (await resolver.resolve(call.adapter)).adapter
        stop = Stop(max_tokens=tokens, ignore_eos=True)
        stream = engine.submit(Request(f"engine-{number}", call.prompt_ids, adapter, stop=stop))
        async for _ in stream:
            pass

    begun = time.perf_counter()
    await asyncio.gather(*(answer(*pair) for pair in enumerate(calls)))
    return time.perf_counter() - begun


async def ask_rest(port: int, calls: list[Call], tokens: int) -> float:
    """Streams every answer over REST and counts its events; the seconds until all are answered."""

    async def answer(call: Call) -> None:
        body = json.dumps(
            {
                "model": call.adapter,
                "prompt": call.prompt_ids,
                "max_tokens": tokens,
                "ignore_eos": True,
                "temperature": 0,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        ).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        length = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(f"POST /v1/completions HTTP/1.1\r\nHost: bench\r\n{length}".encode() + body)
        received = await reader.read()
        writer.close()
        if f'"completion_tokens":{tokens}'.encode() not in received or b"[DONE]" not in received:
            raise SystemExit(f"an answer is not whole: {received[-300:]!r}")

    begun = time.perf_counter()
    await asyncio.gather(*map(answer, calls))
    return time.perf_counter() - begun


def client(face: str, address: str, shape: str, number: int) -> None:
    """What the process of a face's callers does: one round."""
    load = workload(shape)
    calls = calls_of_round(load, number, False)
    if face == "grpc":
        print(run_round(address, calls, load.new_tokens, Pace()).seconds)
    else:
        print(asyncio.run(ask_rest(int(address), calls, load.new_tokens)))


async def measured(loaded: Loaded, shape: str, rounds: int) -> dict[str, list[float]]:
    """Tokens per second of each face, round by round; two rounds before them are not counted."""
    load = workload(shape)
    found: dict[str, list[float]] = {face: [] for face in FACES}
    async with running(loaded) as server:
        resolver = AdapterResolver(loaded.registry, loaded.contract, 8)
        addresses = {"grpc": server.address, "rest": str(server.http_port)}
        for number in range(-2, rounds):
            for place, face in enumerate(FACES[number % 3 :] + FACES[: number % 3]):
                draw = 1000 + 3 * number + place
                if face == "engine":
                    calls = calls_of_round(load, draw, False)
                    seconds = await ask_engine(server.engine, resolver, calls, load.new_tokens)
                else:
                    command = [sys.executable, __file__, "--client", face, addresses[face], shape, str(draw)]
                    said = await asyncio.to_thread(subprocess.check_output, command)
                    seconds = float(said)
                if number >= 0:
                    found[face].append(load.generated_tokens / seconds)
                    print(f"{number + 1:>3}  {face:<8}{found[face][-1]:>8.1f}", flush=True)
        resolver.close()
    return found


def loaded_server(shape: str, folder: Path) -> Loaded:
    """The base and a registry with the adapters, as `parfocal serve` loads them."""
    load_of = workload(shape)
    base = cached_base(load_of.sizes(), folder)
    registry = registry_folder(load_of, base, folder)
    publish_adapters(load_of, base, FolderRegistry(registry), lambda: None)
    config = ServeConfig(
        base=str(base), registry=str(registry), grpc_address=_FREE, http_address=_FREE, metrics_address=_FREE,
        slots=16, max_requests=64,
    )  # fmt: skip
    return load(replace(config, base_cache=""))


def main() -> None:
    """Measures and prints."""
    if sys.argv[1:2] == ["--client"]:
        face, address, shape, number = sys.argv[2:]
        client(face, address, shape, int(number))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--shape", default="llama-135m")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faces-") as folder:
        found = asyncio.run(measured(loaded_server(given.shape, Path(folder)), given.shape, given.rounds))
    for face in FACES[1:]:
        logs = [math.log(one / whole) for one, whole in zip(found[face], found["engine"], strict=True)]
        error = statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else math.nan
        print(f"{face} is {math.exp(statistics.fmean(logs)):.3f} ± {error:.3f} of the engine alone")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
