"""What is refused over HTTP, in OpenAI's shape; the next request always works."""

import asyncio
from typing import Any

import pytest

from fakes.rest import Reply, rest_serving
from parfocal.server.errors import BadRequest
from parfocal.server.faces.openai.bodies import parsed
from parfocal.server.faces.openai.schemas import CompletionBody
from parfocal.v1.limits import REQUEST_BYTES

HELLO = [{"role": "user", "content": "Hi"}]


def chat(**fields: object) -> dict[str, object]:
    return {"model": "tiny", "messages": HELLO, **fields}


def saying(content: object, role: str = "user") -> dict[str, object]:
    return {"model": "tiny", "messages": [{"role": role, "content": content}]}


REFUSED: dict[str, tuple[object, int, str | None, str]] = {
    "no JSON": (b'{"model"', 400, None, "not JSON"),
    "no object": (b"[]", 400, None, "not an object"),
    "half a character": (b'{"model": "\\ud800"}', 400, None, "surrogate"),
    "no messages": ({"model": "tiny"}, 400, "messages", "messages is missing"),
    "an unknown argument": (chat(foo=1), 400, "foo", "Unrecognized request argument supplied: foo"),
    "an unserved one": (chat(reasoning_effort="low"), 400, "reasoning_effort", 'reasoning_effort is "low"'),
    "text for a number": (chat(n="2"), 400, "n", "integer"),
    "too many choices": (chat(n=128), 400, "n", "n has 128 choices; at most 32"),
    "a bad range": (chat(top_p=7), 400, "top_p", "top_p is 7"),
    "an unknown role": (saying("x", "robot"), 400, "messages[0].role", "robot"),
    "a picture": (saying([{"type": "image_url", "text": ""}]), 400, "messages[0].content[0].type", "text"),
    "an unknown model": (chat(model="team/nobody"), 404, "model", "team/nobody"),
    "usage of no stream": (chat(stream_options={}), 400, "stream_options", "stream"),
    "a long prompt": (saying("x" * 500), 400, "messages", "the chat has"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_request_names_what_is_wrong_and_the_next_works(case: str) -> None:
    body, status, param, words = REFUSED[case]

    async def scenario() -> tuple[Reply, Reply]:
        async with rest_serving() as rest:
            refused = await rest.post("/v1/chat/completions", body)
            return refused, await rest.post("/v1/chat/completions", {"model": "tiny", "messages": HELLO})

    refused, following = asyncio.run(scenario())

    said: Any = refused.json()
    assert refused.status == status, said
    assert words in said["error"]["message"]
    assert said["error"]["param"] == param
    assert following.status == 200


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"temperature": "hot"}, 'temperature is "hot"; it must be a number'),
        ({"prompt": 5}, "prompt is 5; it must be a text or a list"),
        ({"prompt": ["a", 1]}, "prompt[1] is 1; it must be a text"),
        ({"stop": {"a": 1}}, 'stop is {"a": 1}; it must be a text or a list'),
        ({"max_tokens": 1.5}, "max_tokens is 1.5; it must be an integer"),
        ({"suffix": "x" * 1000}, f"suffix is \"{'x' * 59}…; it must be ''"),
        ({"user": list(range(100))}, "user is a list of 100; it must be a text"),
        ({"n": "2", "echo": 1}, 'n is "2"; it must be an integer; echo is 1; it must be true or false'),
        ({"prompt": None, "stop": [1, 2]}, "stop[0] is 1; it must be a text; prompt is null"),
    ],
)
def test_a_field_of_another_type_is_refused_in_one_sentence_with_its_value(
    fields: dict[str, object], said: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        parsed({"model": "tiny", "prompt": "x", **fields}, CompletionBody)

    assert str(refused.value).startswith(said)
    assert str(refused.value).count("; it must be") == said.count("; it must be") or "null" in said
    assert "\n" not in str(refused.value)


def test_a_body_beyond_the_limit_is_refused_before_it_is_sent() -> None:
    async def scenario() -> bytes:
        async with rest_serving() as rest:
            reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
            length = f"Content-Length: {REQUEST_BYTES.most + 1}"
            writer.write(f"POST /v1/completions HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n".encode())
            line = await reader.readline()
            writer.close()
            return line

    assert b"413" in asyncio.run(scenario())


@pytest.mark.parametrize(("name", "value"), [("content_type", "text/plain"), ("content_encoding", "gzip")])
def test_a_body_of_another_kind_is_refused(name: str, value: str) -> None:
    async def scenario() -> Reply:
        async with rest_serving() as rest:
            return await rest.post("/v1/completions", {}, **{name: value})

    said: Any = asyncio.run(scenario()).json()
    assert said["error"]["param"] == name.replace("_", "-")


@pytest.mark.parametrize(
    "fields",
    [
        ("Host: x", "Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Host: x", "Content-Length: 2", "Content-Length: 3"),
        ("Host: x", "Host: y", "Content-Length: 2"),
    ],
)
def test_a_head_that_two_servers_could_read_in_two_ways_is_not_served(fields: tuple[str, ...]) -> None:
    head = "\r\n".join(["POST /v1/completions HTTP/1.1", *fields, "", "{}"])

    async def scenario() -> bytes:
        async with rest_serving() as rest:
            reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
            writer.write(head.encode())
            answer = await asyncio.wait_for(reader.readline(), 10)
            writer.close()
            return answer

    assert b" 200 " not in asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("DELETE", "/v1/models", 405), ("GET", "/v1/chat/completions", 405)],
)
def test_unknown_routes_and_methods_are_told(method: str, path: str, status: int) -> None:
    async def scenario() -> Reply:
        async with rest_serving() as rest:
            return await rest.get(path, method)

    reply = asyncio.run(scenario())

    assert reply.status == status
    assert b'"error"' in reply.body


def test_before_the_server_is_open_only_probes_are_answered() -> None:
    async def scenario() -> tuple[Reply, ...]:
        async with rest_serving(opened=False) as rest:
            paths = ("/healthz", "/readyz", "/v1/models")
            return tuple([await rest.get(path) for path in paths])

    alive, ready, models = asyncio.run(scenario())

    assert (alive.status, ready.status, models.status) == (200, 503, 503)
    assert models.headers["retry-after"] == "1"


def test_a_draining_server_refuses_and_lets_what_runs_end() -> None:
    async def scenario() -> tuple[Reply, Reply]:
        async with rest_serving() as rest:
            rest.engine.gate.clear()
            running = asyncio.ensure_future(rest.post("/v1/completions", {"model": "", "prompt": "x"}))
            while not rest.engine.submitted:
                await asyncio.sleep(0.01)
            draining = asyncio.ensure_future(rest.wire.drain(20))
            await asyncio.sleep(0.05)
            refused = await rest.post("/v1/completions", {"model": "", "prompt": "x"})
            rest.engine.gate.set()
            answered = await running
            await draining
            return refused, answered

    refused, answered = asyncio.run(scenario())

    assert (refused.status, answered.status) == (503, 200)
    assert b"DRAINING" in refused.body
