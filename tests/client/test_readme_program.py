"""The program that readers see first, on a real server with the embedded base."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from parfocal.cli.monitoring import History, ServerLooker, status_document
from parfocal.client import Client, Retries
from parfocal.server.settings import ServeConfig

PROGRAM = """
from parfocal.client import Client

with Client("{address}") as client:
    answer = client.generate("The parcel was late because", max_tokens=24)
    print(answer.text)

    for delta in client.stream(messages=[{{"role": "user", "content": "Hello!"}}], max_tokens=24):
        print(delta.text, end="", flush=True)
"""


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serves the embedded base from a thread of its own, and gives the address."""
    from parfocal.server.assembly import load, running

    config = ServeConfig(
        base="tiny",
        registry=str(folder / "registry"),
        grpc_address="127.0.0.1:0",
        http_address="",
        metrics_address="127.0.0.1:0",
        dtype="float32",
        slots=2,
        kv_cache_bytes=8 << 20,
    )
    ready, done, found = threading.Event(), threading.Event(), []

    async def serve() -> None:
        async with running(load(config)) as server:
            found.append(server.address)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(120)
        yield found[0]
    finally:
        done.set()
        thread.join()


def test_it_prints_an_answer_and_the_server_can_be_watched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with _served(tmp_path) as address:
        exec(compile(PROGRAM.format(address=address), "README", "exec"), {})
        with Client(address, retries=Retries(attempts=1)) as client:
            model = client.model()
            document = status_document(address, History().add(ServerLooker(address, client).look()))

    assert len(capsys.readouterr().out) > 20
    assert model.base.id == "tiny"
    assert document["serving"]
    assert document["missing"] == []  # the server has told where its metrics are
    assert document["figures"]["time_to_first_token_s"] is not None
    assert document["figures"]["memory_bytes"]["base"] == model.memory_bytes
