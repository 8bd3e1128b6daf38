"""What an HTTP request held is free when it has ended, and waits for no garbage collector."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from fakes.key_files import given_key
from fakes.rest import Rest, rest_serving
from fakes.wire.kept import OF_A_REQUEST, guard_of, kept
from parfocal.engine import StepFailed

OF_HTTP = OF_A_REQUEST | {"RequestResponseCycle", "Request", "Head", "EventStream"}
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}
KINDS: tuple[dict[str, object], ...] = ({}, {"n": 2}, {"stream": True}, {"stream": True, "n": 2})


async def _of_each_kind(rest: Rest, authorization: str) -> None:
    async def post(path: str, body: object) -> None:
        await rest.post(path, body, authorization=authorization)

    for failure in (None, StepFailed("the step failed")):
        rest.engine.failure = failure
        for fields in KINDS:
            await post("/v1/chat/completions", CHAT | fields)
        del failure  # it has the frames of what it ended
    rest.engine.failure = None
    await post("/v1/completions", {"model": "", "prompt": ["a", "b"]})
    await post("/v1/embeddings", {"model": "", "input": "x"})
    await post("/v1/chat/completions", {})
    await post("/v1/chat/completions", CHAT | {"model": "team/nobody"})
    await rest.get("/v1/models", authorization=authorization)
    await _leave(rest, authorization)
    rest.engine.submitted.clear()  # it remembers each


async def _leave(rest: Rest, authorization: str) -> None:
    """A stream whose caller goes away in the middle."""
    rest.engine.closes_after = 1
    body = b'{"model":"tiny","prompt":"x","stream":true}'
    head = f"Host: x\r\nAuthorization: {authorization}\r\nContent-Length: {len(body)}"
    reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    writer.write(f"POST /v1/completions HTTP/1.1\r\n{head}\r\n\r\n".encode() + body)
    await reader.readuntil(b"data: ")
    writer.close()
    await asyncio.wait_for(rest.engine.submitted[-1].cancelled.wait(), 10)
    rest.engine.closes_after = None
    rest.engine.gate.set()


@pytest.mark.parametrize("with_keys", [False, True])
def test_a_request_that_has_ended_is_held_by_nothing(with_keys: bool, tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    key = given_key(path, "generate")

    async def scenario() -> Counter[str]:
        async with rest_serving(guard=guard_of(path, with_keys)) as rest:
            return await kept(OF_HTTP, lambda: _of_each_kind(rest, f"Bearer {key}"), times=5)

    assert asyncio.run(scenario()) == {}
