"""Whatever a message gets wrong has its status, names its field, and harms no other request."""

import asyncio
import math

import grpc
import pytest

from fakes.serving import serving
from fakes.tokenizer import ALTERNATE
from parfocal.rpc import RemoteError, remote_error
from parfocal.v1 import inference_service_pb2 as pb

MEBIBYTE = 1024 * 1024


def _refusal(request: pb.GenerateRequest, chat_template: str | None = ALTERNATE) -> RemoteError:
    """Returns what a request is refused with, after checking that the next one works."""

    async def scenario() -> RemoteError:
        async with serving(chat_template) as served:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await served.stub.Generate(request)
            remote = remote_error(failed.value)
            assert served.requests("base", "", remote.reason.lower()) == 1
            reply = await served.stub.Generate(pb.GenerateRequest(prompt="next"))
            assert reply.text == "Once upon a time"
            return remote

    return asyncio.run(scenario())


def _sampling(name: str, value: float) -> pb.GenerateRequest:
    return pb.GenerateRequest(prompt="Hello", sampling=pb.Sampling(**{name: value}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, math.nan) for name in ("temperature", "top_p", "min_p", "repetition_penalty")),
        *((name, math.inf) for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty")),
        ("temperature", -0.1),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("min_p", -0.5),
        ("min_p", 1.5),
        ("repetition_penalty", 0.0),
        ("presence_penalty", -2.5),
        ("frequency_penalty", 2.5),
    ],
)
def test_a_sampling_value_out_of_range_is_refused_by_field(name: str, value: float) -> None:
    refusal = _refusal(_sampling(name, value))

    assert (refusal.status, refusal.field) == ("INVALID_ARGUMENT", f"sampling.{name}")
    assert str(value) in refusal.message or f"{value:g}" in refusal.message


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.GenerateRequest(), "input"),
        (pb.GenerateRequest(prompt=""), "prompt"),
        (pb.GenerateRequest(tokens=pb.Tokens()), "tokens.ids"),
        (pb.GenerateRequest(tokens=pb.Tokens(ids=[5, -1])), "tokens.ids[1]"),
        (pb.GenerateRequest(tokens=pb.Tokens(ids=[0x110000])), "tokens.ids[0]"),
        (pb.GenerateRequest(tokens=pb.Tokens(ids=[-1]), options=pb.Options(echo=True)), "tokens.ids[0]"),
        (pb.GenerateRequest(chat=pb.Chat()), "chat.messages"),
        (
            pb.GenerateRequest(chat=pb.Chat(messages=[pb.Message(role="wizard", content="x")])),
            "chat.messages[0].role",
        ),
        (pb.GenerateRequest(chat=pb.Chat(messages=[pb.Message(content="x")])), "chat.messages[0].role"),
        (pb.GenerateRequest(prompt="x", stop=pb.Stop(max_tokens=0)), "stop.max_tokens"),
        (pb.GenerateRequest(prompt="x", stop=pb.Stop(max_tokens=-5)), "stop.max_tokens"),
        (pb.GenerateRequest(prompt="x", stop=pb.Stop(max_tokens=5, min_tokens=6)), "stop.min_tokens"),
        (pb.GenerateRequest(prompt="x", stop=pb.Stop(min_tokens=-1)), "stop.min_tokens"),
        (pb.GenerateRequest(prompt="x", stop=pb.Stop(strings=["a", ""])), "stop.strings[1]"),
        (pb.GenerateRequest(prompt="x", stop=pb.Stop(strings=["é" * 129])), "stop.strings[0]"),
        (pb.GenerateRequest(prompt="x", stop=pb.Stop(strings=["s"] * 17)), "stop.strings"),
        (pb.GenerateRequest(prompt="x", stop=pb.Stop(token_ids=[-1])), "stop.token_ids[0]"),
        (
            pb.GenerateRequest(prompt="x", options=pb.Options(logprobs=True, top_logprobs=21)),
            "options.top_logprobs",
        ),
        (
            pb.GenerateRequest(prompt="x", options=pb.Options(logprobs=True, top_logprobs=-1)),
            "options.top_logprobs",
        ),
        (pb.GenerateRequest(prompt="x", options=pb.Options(top_logprobs=3)), "options.top_logprobs"),
        (pb.GenerateRequest(prompt="x", request_id="r" * 129), "request_id"),
        (pb.GenerateRequest(prompt="x", request_id="two\nlines"), "request_id"),
    ],
)
def test_a_fault_names_its_field(request_: pb.GenerateRequest, field: str) -> None:
    refusal = _refusal(request_)

    assert (refusal.status, refusal.field) == ("INVALID_ARGUMENT", field)


@pytest.mark.parametrize(
    "request_",
    [
        pb.GenerateRequest(prompt="x" * 64),
        pb.GenerateRequest(prompt="x" * 1000),
        pb.GenerateRequest(tokens=pb.Tokens(ids=[1] * 64)),
        pb.GenerateRequest(chat=pb.Chat(messages=[pb.Message(role="user", content="x" * 1000)])),
    ],
)
def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(request_: pb.GenerateRequest) -> None:
    refusal = _refusal(request_)

    assert (refusal.status, refusal.reason) == ("INVALID_ARGUMENT", "PROMPT_TOO_LONG")
    assert "the context holds 64" in refusal.message


def test_messages_that_the_template_refuses_are_the_callers_fault() -> None:
    turns = [pb.Message(role="user", content="a"), pb.Message(role="user", content="b")]

    refusal = _refusal(pb.GenerateRequest(chat=pb.Chat(messages=turns)))

    assert (refusal.status, refusal.reason, refusal.field) == ("INVALID_ARGUMENT", "CHAT_REFUSED", "chat")
    assert "roles must alternate" in refusal.message


def test_a_chat_with_a_base_without_a_template_is_refused() -> None:
    chat = pb.Chat(messages=[pb.Message(role="user", content="a")])

    refusal = _refusal(pb.GenerateRequest(chat=chat), chat_template=None)

    assert (refusal.status, refusal.reason) == ("FAILED_PRECONDITION", "NO_CHAT_TEMPLATE")


def test_a_request_of_100_mb_is_refused_and_the_next_one_works() -> None:
    async def scenario() -> tuple[str, str]:
        async with serving() as served:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await served.stub.Generate(pb.GenerateRequest(prompt="x" * (100 * MEBIBYTE)))
            reply = await served.stub.Generate(pb.GenerateRequest(prompt="next"))
            return remote_error(failed.value).status, reply.text

    assert asyncio.run(scenario()) == ("RESOURCE_EXHAUSTED", "Once upon a time")


def test_a_refused_stream_has_the_same_status_as_a_refused_call() -> None:
    async def scenario() -> tuple[str, str | None]:
        async with serving() as served:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await served.stub.GenerateStream(pb.GenerateRequest(prompt="")).read()
            remote = remote_error(failed.value)
            return remote.status, remote.field

    assert asyncio.run(scenario()) == ("INVALID_ARGUMENT", "prompt")
