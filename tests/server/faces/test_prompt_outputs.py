"""What gRPC tells of prompts, biases of tokens, blends and embeddings: read, passed on, and written."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import pytest

from fakes.serving import Served, serving
from parfocal.engine import AdapterKey, Pooling
from parfocal.rpc import remote_error
from parfocal.server.requests import Manner
from parfocal.v1 import inference_service_pb2 as pb

T = TypeVar("T")

FIRST = AdapterKey("sha256:" + "1" * 64, "team/first", 3)
SECOND = AdapterKey("sha256:" + "2" * 64, "team/second", 1)


def served(act: Callable[[Served], Awaitable[T]]) -> T:
    async def scenario() -> T:
        async with serving() as stand:
            stand.resolver.adapters |= {"first": FIRST, "second": SECOND}
            return await act(stand)

    return asyncio.run(scenario())


def refusal(act: Callable[[Served], Awaitable[object]]) -> tuple[str, str | None]:
    """The message, and the field at fault."""

    async def refused(stand: Served) -> tuple[str, str | None]:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await act(stand)
        error = remote_error(failed.value)
        return error.message, error.field

    return served(refused)


def test_biases_of_tokens_reach_the_engine() -> None:
    async def act(stand: Served) -> dict[int, float]:
        sampling = pb.Sampling(temperature=1, logit_bias={65: -100, 66: 2.5})
        await stand.stub.Generate(pb.GenerateRequest(prompt="x", sampling=sampling))
        return dict(stand.engine.submitted[0].request.sampling.logit_bias)

    assert served(act) == {65: -100, 66: 2.5}


def test_a_prompt_is_read_token_by_token_but_the_first() -> None:
    async def act(stand: Served) -> pb.GenerateResponse:
        options = pb.Options(prompt_logprobs=2, choices=2)
        return await stand.stub.Generate(pb.GenerateRequest(prompt="abc", options=options))

    reply = served(act)

    assert [(each.token_id, each.text, each.logprob) for each in reply.prompt_logprobs] == [
        (98, "b", -0.25),
        (99, "c", -0.25),
    ]
    assert [(each.token_id, each.logprob) for each in reply.prompt_logprobs[0].top] == [
        (98, -0.25),
        (99, -1.25),
    ]
    assert not reply.logprobs


def test_a_stream_tells_of_the_prompt_first_and_once_for_each_choice() -> None:
    async def act(stand: Served) -> list[pb.GenerateStreamResponse]:
        options = pb.Options(prompt_logprobs=0, choices=2)
        request = pb.GenerateRequest(prompt="abc", options=options)
        return [each async for each in stand.stub.GenerateStream(request)]

    messages = served(act)

    for choice in (0, 1):
        told = [len(each.prompt_logprobs) for each in messages if each.choice == choice]
        assert told == [2, *[0] * (len(told) - 1)]
    assert len(messages[-1].final.prompt_logprobs) == 2


def test_a_prompt_can_be_read_without_an_answer() -> None:
    async def act(stand: Served) -> pb.GenerateResponse:
        request = pb.GenerateRequest(
            prompt="abc", stop=pb.Stop(max_tokens=0), options=pb.Options(prompt_logprobs=0, echo=True)
        )
        return await stand.stub.Generate(request)

    reply = served(act)

    assert (reply.text, len(reply.prompt_logprobs), reply.usage.completion_tokens) == ("abc", 2, 0)


def test_a_blend_is_one_adapter_with_its_parts() -> None:
    async def act(stand: Served) -> pb.GenerateResponse:
        parts = [pb.BlendPart(adapter="first", weight=0.7), pb.BlendPart(adapter="second")]
        return await stand.stub.Generate(pb.GenerateRequest(prompt="x", blend=parts))

    adapter = served(act).adapter

    assert [(each.adapter.name, each.adapter.version, each.weight) for each in adapter.parts] == [
        ("team/first", 3, 0.7),
        ("team/second", 1, 1.0),
    ]
    assert adapter.digest not in {FIRST.digest, SECOND.digest}
    assert adapter.version == 0


def test_adapters_with_other_templates_make_a_blend_that_warns() -> None:
    async def act(stand: Served) -> pb.GenerateResponse:
        stand.resolver.manners["second"] = Manner("chat", "{{ messages[0].content }}")
        parts = [pb.BlendPart(adapter="first"), pb.BlendPart(adapter="second")]
        chat = pb.Chat(messages=[pb.Message(role="user", content="Hi")])
        return await stand.stub.Generate(pb.GenerateRequest(chat=chat, blend=parts))

    assert "different chat templates; team/first@3's is used" in served(act).warnings[0]


BLENDS = [
    (pb.GenerateRequest(adapter="first", blend=[pb.BlendPart(adapter="second")]), "adapter"),
    (pb.GenerateRequest(blend=[pb.BlendPart()]), "blend[0].adapter"),
    (pb.GenerateRequest(blend=[pb.BlendPart(adapter="first")] * 9), "blend"),
    (pb.GenerateRequest(blend=[pb.BlendPart(adapter="first", weight=float("nan"))]), "blend[0].weight"),
    (pb.GenerateRequest(blend=[pb.BlendPart(adapter="first", weight=0)]), "blend"),
]


@pytest.mark.parametrize(("request_", "field"), BLENDS)
def test_a_bad_blend_is_refused_by_its_place(request_: pb.GenerateRequest, field: str) -> None:
    request_.prompt = "x"

    assert refusal(lambda stand: stand.stub.Generate(request_))[1] == field


def test_a_blend_of_an_unknown_adapter_is_refused_and_not_counted_as_the_base() -> None:
    async def act(stand: Served) -> tuple[str | None, float]:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            parts = [pb.BlendPart(adapter="first"), pb.BlendPart(adapter="nobody")]
            await stand.stub.Generate(pb.GenerateRequest(prompt="x", blend=parts))
        return failed.value.details(), stand.requests("base", "", "adapter_not_found")

    details, counted = served(act)

    assert "nobody" in str(details)
    assert counted == 0


def test_each_input_becomes_a_vector() -> None:
    async def act(stand: Served) -> tuple[pb.EmbedResponse, list[tuple[Pooling | None, bool]]]:
        reply = await stand.stub.Embed(
            pb.EmbedRequest(
                adapter="first",
                inputs=[pb.EmbedInput(prompt="ab"), pb.EmbedInput(tokens=pb.Tokens(ids=[7, 8, 9]))],
                pooling=pb.POOLING_MEAN,
                normalise=False,
                request_id="mine",
            )
        )
        asked = [each.request for each in stand.engine.submitted]
        return reply, [(each.pooling, each.normalised) for each in asked]

    reply, asked = served(act)

    assert [list(each.values) for each in reply.embeddings] == [[2.0, 97.0], [3.0, 7.0]]
    assert [each.prompt_tokens for each in reply.embeddings] == [2, 3]
    assert (reply.usage.prompt_tokens, reply.usage.cached_tokens) == (5, 4)
    assert (reply.adapter.name, reply.request_id) == ("team/first", "mine")
    assert asked == [(Pooling.MEAN, False)] * 2


def test_an_embedding_is_of_the_last_token_and_of_length_one_unless_told() -> None:
    async def act(stand: Served) -> tuple[Pooling | None, bool]:
        await stand.stub.Embed(pb.EmbedRequest(inputs=[pb.EmbedInput(prompt="ab")]))
        asked = stand.engine.submitted[0].request
        return asked.pooling, asked.normalised

    assert served(act) == (Pooling.LAST, True)


EMBEDS = [
    (pb.EmbedRequest(), "inputs"),
    (pb.EmbedRequest(inputs=[pb.EmbedInput(prompt="x"), pb.EmbedInput()]), "inputs[1]"),
    (pb.EmbedRequest(inputs=[pb.EmbedInput(prompt="x"), pb.EmbedInput(prompt="x" * 65)]), "inputs[1]"),
    (pb.EmbedRequest(inputs=[pb.EmbedInput(tokens=pb.Tokens(ids=[-1]))]), "inputs[0]"),
]


@pytest.mark.parametrize(("request_", "field"), EMBEDS)
def test_a_bad_input_is_refused_by_its_place(request_: pb.EmbedRequest, field: str) -> None:
    message, found = refusal(lambda stand: stand.stub.Embed(request_))

    assert found == field
    assert message.startswith(field) or field == "inputs"


def test_one_refused_input_ends_the_others() -> None:
    async def act(stand: Served) -> bool:
        request = pb.EmbedRequest(
            inputs=[pb.EmbedInput(prompt="x"), pb.EmbedInput(tokens=pb.Tokens(ids=[-1]))]
        )
        with pytest.raises(grpc.aio.AioRpcError):
            await stand.stub.Embed(request)
        return stand.engine.submitted[0].cancelled.is_set()

    assert served(act)


def test_a_caller_who_leaves_ends_every_input() -> None:
    async def act(stand: Served) -> list[bool]:
        stand.engine.gate.clear()
        call = stand.stub.Embed(pb.EmbedRequest(inputs=[pb.EmbedInput(prompt="x")] * 2))
        stand.engine.words = ("a",)
        while len(stand.engine.submitted) < 2:
            await asyncio.sleep(0.01)
        call.cancel()
        async with asyncio.timeout(10):
            for stream in stand.engine.submitted:
                await stream.cancelled.wait()
        return [stream.cancelled.is_set() for stream in stand.engine.submitted]

    assert served(act) == [True, True]


TOOLS = ('{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}',)


def choosing(**choice: object) -> pb.GenerateRequest:
    chat = pb.Chat(messages=[pb.Message(role="user", content="x")], tools=TOOLS)
    chat.tool_choice.CopyFrom(pb.ToolChoice(**choice))  # type: ignore[arg-type]
    return pb.GenerateRequest(chat=chat)


@pytest.mark.parametrize(
    ("choice", "constrained"),
    [
        ({"mode": pb.ToolChoice.MODE_AUTO}, False),
        ({"mode": pb.ToolChoice.MODE_NONE}, False),
        ({"mode": pb.ToolChoice.MODE_REQUIRED}, True),
        ({"mode": pb.ToolChoice.MODE_REQUIRED, "name": "weather"}, True),
    ],
)
def test_an_answer_that_must_call_is_held_to_it(choice: dict[str, object], constrained: bool) -> None:
    async def act(stand: Served) -> bool:
        await stand.stub.Generate(choosing(**choice))
        return stand.engine.submitted[0].request.constraint is not None

    assert served(act) is constrained


@pytest.mark.parametrize("name", ["nobody", "weather"])
def test_a_choice_that_makes_no_sense_is_refused(name: str) -> None:
    mode = pb.ToolChoice.MODE_REQUIRED if name == "nobody" else pb.ToolChoice.MODE_AUTO

    _, field = refusal(lambda stand: stand.stub.Generate(choosing(mode=mode, name=name)))

    assert field is not None
    assert field.startswith("chat.tool_choice")


def test_only_the_first_call_counts_where_one_was_asked_for() -> None:
    async def act(stand: Served) -> pb.GenerateResponse:
        stand.engine.words = ('{"name": "weather"}\n', '{"name": "weather"}')
        return await stand.stub.Generate(choosing(single=True))

    assert len(served(act).tool_calls) == 1
