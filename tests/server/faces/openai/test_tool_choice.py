"""Who chooses tools: the model, nobody, or the caller; and what OpenAI knows that is refused by name."""

import asyncio
from typing import Any

import pytest

from fakes.rest import Reply, Rest, rest_serving
from parfocal.engine.constraints import ConstraintSpec, JsonObject, ToolCalls

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CLOCK = {"type": "function", "function": {"name": "clock"}}
NAMED = {"type": "function", "function": {"name": "clock"}}
CALL = '{"name": "weather", "arguments": {}}'


def chat(**fields: object) -> dict[str, object]:
    return {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], **fields}


def compiled(**fields: object) -> tuple[Reply, list[ConstraintSpec]]:
    async def scenario() -> tuple[Reply, list[ConstraintSpec]]:
        async with rest_serving() as rest:
            rest.engine.words = (CALL, f"\n{CALL}")
            reply = await rest.post("/v1/chat/completions", chat(**fields))
            return reply, rest.compiler.asked

    return asyncio.run(scenario())


@pytest.mark.parametrize("choice", [None, "auto"])
def test_the_model_decides_by_itself(choice: str | None) -> None:
    reply, specs = compiled(tools=[WEATHER, CLOCK], tool_choice=choice)

    said: Any = reply.json()
    assert specs == []
    assert len(said["choices"][0]["message"]["tool_calls"]) == 2


def test_nothing_is_called_if_nothing_may_be() -> None:
    reply, specs = compiled(tools=[WEATHER], tool_choice="none")

    said: Any = reply.json()
    assert specs == []
    assert "tool_calls" not in said["choices"][0]["message"]
    assert said["choices"][0]["finish_reason"] == "stop"


def test_an_answer_that_must_call_is_held_to_the_tools() -> None:
    _, specs = compiled(
        tools=[WEATHER, CLOCK], tool_choice="required", response_format={"type": "json_object"}
    )

    assert specs == [ToolCalls((("weather", '{"type": "object"}'), ("clock", '{"type": "object"}')))]


def test_a_form_beside_tools_is_kept_and_the_caller_is_told() -> None:
    reply, specs = compiled(tools=[WEATHER], response_format={"type": "json_object"})

    said: Any = reply.json()
    assert specs == [JsonObject()]
    assert "calls no tool" in said["warnings"][-1]


def test_an_answer_that_must_call_one_tool_is_held_to_it() -> None:
    reply, specs = compiled(tools=[WEATHER, CLOCK], tool_choice=NAMED, parallel_tool_calls=False)

    assert specs == [ToolCalls((("clock", '{"type": "object"}'),), several=False)]
    said: Any = reply.json()
    assert said["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("stream", [False, True])
def test_only_one_call_comes_back_where_they_may_not_be_parallel(stream: bool) -> None:
    reply, _ = compiled(tools=[WEATHER], parallel_tool_calls=False, stream=stream)

    if stream:
        events: list[Any] = reply.events()
        deltas = [each["choices"][0]["delta"] for each in events]
        calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    else:
        said: Any = reply.json()
        calls = said["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["weather"]


REFUSED = [
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": [WEATHER], "tool_choice": NAMED}, "tool_choice"),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({"tools": [WEATHER], "functions": [{}]}, "functions"),
    ({"store": True}, "store"),
    ({"service_tier": "priority"}, "service_tier"),
    ({"audio": {"voice": "x"}}, "audio"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED)
def test_what_cannot_be_served_is_refused_by_its_name(fields: dict[str, object], param: str) -> None:
    reply, _ = compiled(**fields)

    said: Any = reply.json()
    assert (reply.status, said["error"]["param"]) == (400, param)


def test_what_changes_nothing_is_accepted() -> None:
    reply, _ = compiled(
        user="me", metadata={"a": "b"}, store=False, service_tier="auto", prompt_cache_key="x"
    )

    assert reply.status == 200


def test_a_caller_asks_for_no_headers_of_other_sites() -> None:
    """Browsers' pages are no clients: nothing is said of other origins, and so they get nothing."""

    async def scenario(rest: Rest) -> Reply:
        return await rest.post("/v1/chat/completions", chat(), Origin="https://example.org")

    async def run() -> Reply:
        async with rest_serving() as rest:
            return await scenario(rest)

    reply = asyncio.run(run())

    assert not [name for name in reply.headers if name.lower().startswith("access-control")]
