"""Chats over a real channel: variables, an adapter's own manner, and warnings where the form differs."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct

from fakes.serving import Served, serving
from fakes.tokenizer import ALTERNATE, character_tokenizer
from parfocal.engine import AdapterKey
from parfocal.rpc import RemoteError, remote_error
from parfocal.server.requests import Manner
from parfocal.v1 import inference_service_pb2 as pb

T = TypeVar("T")
KEY = AdapterKey("sha256:" + "1" * 64, "team/invoices", 3)
SHOWN = "{{ thinking }};{{ count }};{{ list }};{{ deep }}"


def _ask(manner: Manner, use: Callable[[Served], Awaitable[T]], template: str = ALTERNATE) -> T:
    async def scenario() -> T:
        async with serving(template) as served:
            served.resolver.adapters["a"] = KEY
            served.resolver.manners["a"] = manner
            return await use(served)

    return asyncio.run(scenario())


def _chat(content: str = "Hi", variables: dict[str, Any] | None = None) -> pb.Chat:
    struct = Struct()
    struct.update(variables or {})
    return pb.Chat(messages=[pb.Message(role="user", content=content)], template_variables=struct)


def _written(manner: Manner, chat: pb.Chat, adapter: str = "a", template: str = ALTERNATE) -> str:
    async def use(served: Served) -> str:
        reply = await served.stub.Tokenize(pb.TokenizeRequest(adapter=adapter, chat=chat))
        await served.stub.Generate(pb.GenerateRequest(adapter=adapter, chat=chat))
        assert list(served.engine.submitted[-1].request.prompt_ids) == list(reply.token_ids)
        return "".join(reply.texts)

    return _ask(manner, use, template)


def _refusal(chat: pb.Chat, template: str) -> RemoteError:
    async def use(served: Served) -> RemoteError:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.stub.Generate(pb.GenerateRequest(chat=chat))
        return remote_error(refused.value)

    return _ask(Manner(), use, template)


def test_variables_reach_the_template_as_they_were_meant() -> None:
    variables = {"thinking": False, "count": 3, "list": [1, 2.5, None, "x"], "deep": {"a": True}}
    chat = _chat(variables=variables)

    assert _written(Manner(), chat, "", SHOWN) == ("False;3;[1, 2.5, None, 'x'];{'a': True}")


@pytest.mark.parametrize(
    ("asked", "thinking"), [({}, "False"), ({"thinking": True}, "True"), ({"count": 1}, "False")]
)
def test_what_an_adapter_was_trained_with_holds_unless_the_request_says_otherwise(
    asked: dict[str, object], thinking: str
) -> None:
    manner = Manner("chat", variables={"thinking": False})

    assert thinking in _written(manner, _chat(variables=asked), "a", SHOWN)


def test_an_adapters_own_template_writes_its_chats_but_not_those_of_the_base() -> None:
    manner = Manner("chat", template="[{{ messages[0].content }}]")

    assert _written(manner, _chat("Hi")) == "[Hi]"
    assert _written(manner, _chat("Hi"), adapter="") == "u:Hi\na:"


@pytest.mark.parametrize(
    ("form", "request_of", "says"),
    [
        ("chat", {"prompt": "Hi"}, "trained on chats, and does worse on raw prompts; send a chat"),
        ("raw", {"chat": _chat()}, "trained on raw prompts, and does worse on chats; send a prompt"),
        ("chat", {"chat": _chat()}, None),
        ("raw", {"prompt": "Hi"}, None),
        (None, {"prompt": "Hi"}, None),
        ("chat", {"tokens": pb.Tokens(ids=[65])}, None),
    ],
)
def test_a_prompt_in_another_form_than_the_training_rows_is_answered_with_a_warning(
    form: str | None, request_of: dict[str, object], says: str | None
) -> None:
    async def use(served: Served) -> tuple[list[str], list[list[str]]]:
        request = pb.GenerateRequest(adapter="a", **request_of)  # type: ignore[arg-type]
        whole = await served.stub.Generate(request)
        pieces = [piece async for piece in served.stub.GenerateStream(request)]
        return list(whole.warnings), [list(piece.final.warnings) for piece in pieces]

    whole, streamed = _ask(Manner(form), use)

    assert whole == ([f"adapter team/invoices@3 was {says}"] if says else [])
    assert streamed == [[]] * (len(streamed) - 1) + [whole]


def test_a_variable_that_the_template_does_not_read_is_answered_with_a_warning() -> None:
    async def use(served: Served) -> list[str]:
        chat = _chat(variables={"thinking": True, "thinkin_": False})
        return list((await served.stub.Generate(pb.GenerateRequest(chat=chat))).warnings)

    assert _ask(Manner(), use, SHOWN) == ["the chat template does not read the template variable 'thinkin_'"]


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ 1 + 'a' }}", "TypeError"),
        ("{{ x.y.z }}", "UndefinedError"),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
    ],
)
def test_a_template_that_fails_is_a_bad_request_and_names_its_error(template: str, says: str) -> None:
    refusal = _refusal(_chat(), template)

    assert (refusal.status, refusal.reason) == ("INVALID_ARGUMENT", "CHAT_REFUSED")
    assert says in str(refusal)


@pytest.mark.parametrize("name", ["messages", "add_generation_prompt", "not a name", ""])
def test_a_variable_that_would_stand_in_the_chats_way_is_refused(name: str) -> None:
    refusal = _refusal(_chat(variables={name: 1}), ALTERNATE)

    assert (refusal.status, refusal.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    assert repr(name) in str(refusal)


# Writes everything that a chat with tools may hold, as Qwen's and Llama's templates do.
TOOLS = (
    "{% if tools %}{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}{% endif %}"
    "{% for m in messages %}{{ m.role }}"
    "{% if m.name %} {{ m.name }}{% endif %}{% if m.tool_call_id %} #{{ m.tool_call_id }}{% endif %}"
    ": {{ m.content }}{% if m.tool_calls %}{% for call in m.tool_calls %}"
    "<{{ call.type }} {{ call.id }} {{ call.function.name }} {{ call.function.arguments | tojson }}>"
    "{% endfor %}{% endif %}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"z": 1, "a": {"type": "string"}}}}
CALLING: list[Any] = [
    {"role": "user", "content": "Rain?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "type": "function",
                "id": "c1",
                "function": {"name": "weather", "arguments": {"z": 9007199254740993}},
            },
            {"type": "function", "id": "c2", "function": {"name": "weather", "arguments": {}}},
        ],
    },
    {"role": "tool", "content": '{"wet": true}', "tool_call_id": "c1", "name": "weather"},
]


def _calling(**changed: Any) -> pb.Chat:
    calls = [
        pb.ToolCall(id="c1", name="weather", arguments='{"z": 9007199254740993}'),
        pb.ToolCall(id="c2", name="weather"),
    ]
    messages = [
        pb.Message(role="user", content="Rain?"),
        pb.Message(role="assistant", tool_calls=calls),
        pb.Message(role="tool", content='{"wet": true}', tool_call_id="c1", name="weather"),
    ]
    fields: dict[str, Any] = {"messages": messages, "tools": [json.dumps(TOOL)], **changed}
    return pb.Chat(**fields)


def test_tools_their_calls_and_their_answers_are_written_as_transformers_writes_them() -> None:
    own = character_tokenizer(TOOLS).apply_chat_template(
        CALLING, tools=[TOOL], tokenize=False, add_generation_prompt=True
    )

    async def use(served: Served) -> str:
        return "".join((await served.stub.Tokenize(pb.TokenizeRequest(chat=_calling()))).texts)

    assert _ask(Manner(), use, TOOLS) == own


def test_tools_for_a_template_that_reads_none_are_answered_with_a_warning() -> None:
    async def use(served: Served) -> list[str]:
        chat = pb.Chat(messages=[pb.Message(role="user", content="Hi")], tools=["{}"])
        return list((await served.stub.Generate(pb.GenerateRequest(chat=chat))).warnings)

    assert _ask(Manner(), use) == ["the chat template does not read the template variable 'tools'"]
    assert _ask(Manner(), use, TOOLS) == []


@pytest.mark.parametrize(
    ("chat", "field"),
    [
        (_calling(tools=["{"]), "chat.tools[0]"),
        (_calling(tools=["{}", "[]"]), "chat.tools[1]"),
        (_calling(tools=['{"a": "\\ud800"}']), "chat.tools[0]"),
        (_calling(tools=["[" * 500]), "chat.tools[0]"),
        (
            pb.Chat(messages=[pb.Message(role="user", tool_calls=[pb.ToolCall(name="f")])]),
            "chat.messages[0].tool_calls",
        ),
        (
            pb.Chat(messages=[pb.Message(role="assistant", tool_calls=[pb.ToolCall()])]),
            "chat.messages[0].tool_calls[0].name",
        ),
        (
            pb.Chat(
                messages=[pb.Message(role="assistant", tool_calls=[pb.ToolCall(name="f", arguments="3")])]
            ),
            "chat.messages[0].tool_calls[0].arguments",
        ),
    ],
)
def test_a_call_that_is_none_is_refused_by_its_field(chat: pb.Chat, field: str) -> None:
    refusal = _refusal(chat, TOOLS)

    assert (refusal.status, refusal.field) == ("INVALID_ARGUMENT", field)
