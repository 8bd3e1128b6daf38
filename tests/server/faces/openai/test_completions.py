"""Chat completions and completions over HTTP: what is answered, streamed, resolved and told."""

import asyncio
from typing import Any

import pytest

from fakes.rest import Reply, rest_serving
from parfocal.engine import AdapterKey, ConstraintRefused, QueueFull, StepFailed
from parfocal.engine.constraints import Choice, ConstraintSpec, Grammar, JsonObject, JsonSchema, Regex

KEY = AdapterKey("sha256:" + "1" * 64, "team/invoices", 3)
HELLO = [{"role": "user", "content": "Hi"}]


def chat(**fields: object) -> dict[str, object]:
    return {"model": "tiny", "messages": HELLO, **fields}


def asked(path: str, body: object, **headers: str) -> Reply:
    async def scenario() -> Reply:
        async with rest_serving() as rest:
            rest.resolver.adapters["team/invoices@prod"] = KEY
            return await rest.post(path, body, **headers)

    return asyncio.run(scenario())


def test_an_adapter_answers_a_chat_and_its_version_and_digest_come_back() -> None:
    reply = asked("/v1/chat/completions", chat(model="team/invoices@prod"), x_request_id="mine")

    said: Any = reply.json()
    assert reply.status == 200
    assert said["object"] == "chat.completion"
    assert said["model"] == "team/invoices@prod"
    assert said["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Once upon a time",
        "refusal": None,
    }
    assert said["choices"][0]["finish_reason"] == "stop"
    assert said["usage"]["completion_tokens"] == 4
    assert said["usage"]["prompt_tokens_details"] == {"cached_tokens": 2}
    assert said["system_fingerprint"] == f"team/invoices@3+{KEY.digest[:19]}"
    assert reply.headers["x-parfocal-adapter"] == "team/invoices@3"
    assert reply.headers["x-parfocal-digest"] == KEY.digest
    assert reply.headers["x-request-id"] == "mine"


def test_the_default_temperature_is_openais_and_the_rest_reaches_the_engine() -> None:
    async def scenario() -> list[Any]:
        async with rest_serving() as rest:
            await rest.post("/v1/chat/completions", chat())
            await rest.post(
                "/v1/chat/completions",
                chat(temperature=0, top_p=0.5, seed=7, stop="x", max_completion_tokens=9, stop_token_ids=[5]),
            )
            return [each.request for each in rest.engine.submitted]

    usual, told = asyncio.run(scenario())

    assert usual.sampling.temperature == 1.0
    assert (told.sampling.temperature, told.sampling.top_p, told.sampling.seed) == (0, 0.5, 7)
    assert (told.stop.strings, told.stop.max_tokens, told.stop.token_ids) == (("x",), 9, (5,))


def test_a_chat_streams_chunks_that_make_the_answer_and_usage_comes_last() -> None:
    reply = asked("/v1/chat/completions", chat(stream=True, n=2, stream_options={"include_usage": True}))

    events: list[Any] = reply.events()
    assert reply.headers["content-type"].startswith("text/event-stream")
    for number in (0, 1):
        mine = [
            each["choices"][0] for each in events if each["choices"] and each["choices"][0]["index"] == number
        ]
        assert mine[0]["delta"]["role"] == "assistant"
        assert "".join(each["delta"].get("content", "") for each in mine) == "Once upon a time"
        assert [each["finish_reason"] for each in mine if each["finish_reason"]] == ["stop"]
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["completion_tokens"] == 8
    assert len({each["id"] for each in events}) == 1


def test_each_prompt_of_a_completion_has_its_own_choices() -> None:
    body = {"model": "", "prompt": ["ab", "c"], "n": 2, "echo": True, "logprobs": 1}

    said: Any = asked("/v1/completions", body).json()

    assert [each["index"] for each in said["choices"]] == [0, 1, 2, 3]
    assert [each["text"] for each in said["choices"]] == ["abOnce upon a time"] * 2 + [
        "cOnce upon a time"
    ] * 2
    assert said["usage"]["prompt_tokens"] == 3
    assert said["choices"][0]["logprobs"]["text_offset"] == [0, 1, 2, 3, 4, 5]


def test_token_ids_are_a_prompt_too() -> None:
    assert asked("/v1/completions", {"model": "tiny", "prompt": [[65], [66, 67]]}).status == 200


def test_a_caller_who_leaves_ends_the_request() -> None:
    async def scenario() -> None:
        async with rest_serving() as rest:
            rest.engine.gate.clear()
            _, writer = await asyncio.open_connection("127.0.0.1", rest.port)
            body = b'{"model":"tiny","prompt":"x","stream":true,"n":2}'
            head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            while len(rest.engine.submitted) < 2:
                await asyncio.sleep(0.01)
            writer.close()
            async with asyncio.timeout(10):
                for stream in rest.engine.submitted:
                    await stream.cancelled.wait()
            assert (await rest.get("/healthz")).status == 200

    asyncio.run(scenario())


def test_what_fails_in_mid_stream_is_told_in_the_stream() -> None:
    async def scenario() -> Reply:
        async with rest_serving() as rest:
            rest.engine.failure = StepFailed("the step failed")
            return await rest.post("/v1/chat/completions", chat(stream=True))

    reply = asyncio.run(scenario())

    assert reply.status == 200
    assert b'"reason": "STEP_FAILED"' in reply.body
    assert b"[DONE]" not in reply.body


def test_a_full_queue_tells_when_to_try_again() -> None:
    async def scenario() -> Reply:
        async with rest_serving() as rest:
            rest.engine.refusal = QueueFull("9 wait already", retry_after_s=2.5)
            return await rest.post("/v1/chat/completions", chat())

    reply = asyncio.run(scenario())

    assert reply.status == 429
    assert reply.headers["retry-after-ms"] == "2500"
    said: Any = reply.json()
    assert said["error"]["code"] == "rate_limit_exceeded"


TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
WORDS = ("Let me see. ", '{"na', 'me": "weather", "arguments": {"city": "Ulm"}}')


def calling(words: tuple[str, ...], **fields: object) -> Reply:
    async def scenario() -> Reply:
        async with rest_serving() as rest:
            rest.engine.words = words
            return await rest.post("/v1/chat/completions", chat(tools=TOOLS, **fields))

    return asyncio.run(scenario())


def test_a_call_of_a_tool_comes_back_as_one() -> None:
    said: Any = calling(WORDS[1:]).json()

    choice = said["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"][0]["function"] == {
        "name": "weather",
        "arguments": '{"city": "Ulm"}',
    }
    assert choice["message"]["tool_calls"][0]["id"].startswith("call_")


def test_a_call_is_streamed_whole() -> None:
    events: list[Any] = calling(WORDS[1:], stream=True).events()

    deltas = [each["choices"][0]["delta"] for each in events]
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert [(call["index"], call["function"]["name"]) for call in calls] == [(0, "weather")]
    assert not any(delta.get("content") for delta in deltas)
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_text_that_is_no_call_is_streamed_as_text() -> None:
    events: list[Any] = calling(WORDS, stream=True).events()

    deltas = [each["choices"][0]["delta"] for each in events]
    assert "".join(delta.get("content", "") for delta in deltas) == "".join(WORDS)


FORMATS: list[tuple[dict[str, object], ConstraintSpec]] = [
    ({"type": "json_object"}, JsonObject()),
    ({"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}, JsonSchema("{}")),
    ({"type": "regex", "pattern": "a+"}, Regex("a+")),
    ({"type": "grammar", "grammar": 'root ::= "a"'}, Grammar('root ::= "a"')),
    ({"type": "choice", "choices": ["yes", "no"]}, Choice(("yes", "no"))),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), FORMATS)
def test_a_response_format_holds_the_answer_to_it(given: dict[str, object], expected: ConstraintSpec) -> None:
    async def scenario() -> tuple[list[ConstraintSpec], bool]:
        async with rest_serving() as rest:
            await rest.post("/v1/chat/completions", chat(response_format=given))
            return rest.compiler.asked, rest.engine.submitted[0].request.constraint is not None

    assert asyncio.run(scenario()) == ([expected], True)


def test_text_is_no_format() -> None:
    async def scenario() -> list[ConstraintSpec]:
        async with rest_serving() as rest:
            await rest.post("/v1/chat/completions", chat(response_format={"type": "text"}))
            return rest.compiler.asked

    assert asyncio.run(scenario()) == []


def test_a_format_that_cannot_be_kept_is_refused_by_its_name() -> None:
    async def scenario() -> list[Reply]:
        async with rest_serving() as rest:
            rest.compiler.refusal = ConstraintRefused("$.not: cannot be kept", field="output_format")
            bodies = ({"type": "json_object"}, {"type": "regex"})
            return [await rest.post("/v1/chat/completions", chat(response_format=each)) for each in bodies]

    for reply in asyncio.run(scenario()):
        said: Any = reply.json()
        assert (reply.status, said["error"]["param"]) == (400, "response_format")


def test_several_prompts_keep_the_id_of_their_request() -> None:
    reply = asked("/v1/completions", {"model": "", "prompt": ["a", "b"]}, x_request_id="mine")

    said: Any = reply.json()
    assert reply.headers["x-request-id"] == "mine"
    assert said["id"] == "cmpl-mine"


def test_what_is_refused_after_it_was_read_has_never_run() -> None:
    async def scenario() -> tuple[int, int]:
        async with rest_serving() as rest:
            refused = await rest.post("/v1/chat/completions", chat(stream_options={}))
            return refused.status, len(rest.engine.submitted)

    assert asyncio.run(scenario()) == (400, 0)


@pytest.mark.parametrize("prompt", [[], [[]], ""])
def test_no_prompt_is_refused(prompt: object) -> None:
    reply = asked("/v1/completions", {"model": "", "prompt": prompt})

    said: Any = reply.json()
    assert (reply.status, said["error"]["param"]) == (400, "prompt")
