"""Several answers, several requests, forms, blends, vectors."""

import asyncio
import json

import pytest

from fakes.scripted_inference import ScriptedInference, scripted
from fakes.serving import Served
from parfocal.client import (
    AdapterNotFound,
    Answer,
    AsyncClient,
    Client,
    InvalidRequest,
    NotSupported,
    ResolvedAdapter,
    ToolCall,
)
from parfocal.client.answers import read_answer, read_embeddings
from parfocal.client.asking import embed_request, generate_request
from parfocal.v1 import inference_service_pb2 as pb

USER = {"role": "user", "content": "Hi"}


def test_all_choices_are_values_and_their_pieces_are_told_apart(client: Client) -> None:
    answer = client.generate("Hello", n=3)
    pieces = list(client.stream("Hello", n=2))

    assert [choice.text for choice in answer.choices] == ["Once upon a time"] * 3
    assert answer.usage.completion_tokens == 12
    assert {piece.choice for piece in pieces} == {0, 1}
    assert [piece.finish_reason for piece in pieces if piece.finish_reason] == ["stop", "stop"]
    assert pieces[-1].answer is not None
    assert len(pieces[-1].answer.choices) == 2


def test_a_batch_ends_each_request_by_itself(client: Client, served: Served) -> None:
    first, second, third = client.generate_batch(
        [
            {"prompt": "Hello", "adapter": "team/invoices@prod"},
            {"prompt": "Hello", "adapter": "team/nobody"},
            {"messages": [USER], "max_tokens": 3},
        ]
    )

    assert isinstance(first, Answer) and isinstance(third, Answer)
    assert str(first.adapter) == "team/invoices@3"
    assert isinstance(second, AdapterNotFound)
    assert second.reason == "ADAPTER_NOT_FOUND"
    assert len(served.engine.submitted) == 2


def test_a_question_that_cannot_be_sent_is_named_by_its_place(client: Client) -> None:
    with pytest.raises(InvalidRequest, match="question 2: nothing given"):
        client.generate_batch([{"prompt": "Hello"}, {"max_tokens": 3}])


def test_tokens_are_spelt_as_text(client: Client) -> None:
    assert client.detokenize([72, 105]) == "Hi"


def test_the_client_for_asyncio_does_the_same(served: Served) -> None:
    async def scenario() -> None:
        async with AsyncClient(f"127.0.0.1:{served.wire.port}") as client:
            answers = await client.generate_batch([{"prompt": "Hello"}, {"prompt": "Hi"}])
            assert [isinstance(each, Answer) for each in answers] == [True, True]
            assert await client.detokenize([72, 105]) == "Hi"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("options", "form"),
    [
        ({"json_schema": {"type": "object", "properties": {"b": {}, "a": {}}}}, "json_schema"),
        ({"json_schema": '{"type": "object"}'}, "json_schema"),
        ({"json_object": True}, "json_object"),
        ({"regex": "[0-9]+"}, "regex"),
        ({"grammar": "root ::= [a-z]"}, "grammar"),
        ({"choice": ["yes", "no"]}, "choice"),
    ],
)
def test_a_form_is_written_as_asked(options: dict[str, object], form: str) -> None:
    request = generate_request("Hi", options)  # type: ignore[arg-type]

    assert request.output_format.WhichOneof("form") == form


def test_a_schemas_keys_keep_their_order() -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    text = generate_request("Hi", {"json_schema": schema}).output_format.json_schema

    assert list(json.loads(text)["properties"]) == ["b", "a"]


def test_no_form_is_written_where_none_is_asked() -> None:
    assert not generate_request("Hi", {"json_object": False}).HasField("output_format")


def test_two_forms_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="json_object and regex are several forms"):
        generate_request("Hi", {"json_object": True, "regex": "x"})


def test_blends_biases_and_prompt_logprobs_are_written_as_asked() -> None:
    request = generate_request(
        "Hi", {"blend": {"team/a@prod": 0.5, "team/b": -1.0}, "logit_bias": {5: -100.0}, "prompt_logprobs": 2}
    )

    assert [(part.adapter, part.weight) for part in request.blend] == [("team/a@prod", 0.5), ("team/b", -1.0)]
    assert dict(request.sampling.logit_bias) == {5: -100.0}
    assert request.options.prompt_logprobs == 2


def test_a_weight_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="map to numbers"):
        generate_request("Hi", {"blend": {"team/a": "half"}})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("word", "mode", "name"),
    [
        ("auto", pb.ToolChoice.MODE_AUTO, ""),
        ("none", pb.ToolChoice.MODE_NONE, ""),
        ("required", pb.ToolChoice.MODE_REQUIRED, ""),
        ("weather", pb.ToolChoice.MODE_REQUIRED, "weather"),
    ],
)
def test_a_tool_choice_is_a_mode_or_a_tool(word: str, mode: int, name: str) -> None:
    choice = generate_request(None, {"messages": [USER], "tool_choice": word}).chat.tool_choice

    assert (int(choice.mode), choice.name) == (mode, name)


def test_calls_of_tools_and_an_incomplete_form_come_back() -> None:
    part = pb.ResolvedPart(
        adapter=pb.ResolvedAdapter(name="team/a", version=1, digest="sha256:a"), weight=0.5
    )
    answer = read_answer(
        pb.GenerateResponse(
            tool_calls=[pb.ToolCall(name="weather", arguments="{}", id="1")],
            incomplete=True,
            adapter=pb.ResolvedAdapter(digest="sha256:b", parts=[part]),
            prompt_logprobs=[pb.TokenLogprob(token_id=1, logprob=-1.0)],
        )
    )

    assert answer.tool_calls == (ToolCall("weather", "{}", "1"),)
    assert answer.incomplete
    assert answer.adapter is not None
    assert answer.adapter.parts == ((ResolvedAdapter("team/a", 1, "sha256:a"), 0.5),)
    assert answer.prompt_logprobs[0].logprob == -1.0


def test_texts_and_tokens_are_embedded_as_asked() -> None:
    request = embed_request(["Hi", [1, 2]], {"adapter": "team/a", "pooling": "mean", "normalise": False})

    assert [each.WhichOneof("input") for each in request.inputs] == ["prompt", "tokens"]
    assert (request.adapter, request.pooling, request.normalise) == ("team/a", pb.POOLING_MEAN, False)
    with pytest.raises(InvalidRequest, match="give a list"):
        embed_request("Hi", {})
    with pytest.raises(InvalidRequest, match="use last or mean"):
        embed_request(["Hi"], {"pooling": "first"})  # type: ignore[typeddict-item]


def test_vectors_come_back_in_order() -> None:
    found = read_embeddings(
        pb.EmbedResponse(
            embeddings=[pb.Embedding(values=[0.5, 1.0], prompt_tokens=2), pb.Embedding(values=[2.0])],
            usage=pb.Usage(prompt_tokens=3),
        )
    )

    assert found.vectors == ((0.5, 1.0), (2.0,))
    assert (found.prompt_tokens, found.usage.prompt_tokens, found.adapter) == ((2, 0), 3, None)


def test_an_rpc_that_a_server_does_not_have_is_said() -> None:
    with scripted(ScriptedInference()) as address, Client(address) as other, pytest.raises(NotSupported):
        other.embed(["Hi"])
