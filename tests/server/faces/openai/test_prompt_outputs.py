"""What HTTP tells of prompts, blends and embeddings, as OpenAI's clients and lm-eval ask for it."""

import asyncio
import base64
import struct
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from fakes.rest import Reply, Rest, rest_serving
from parfocal.engine import AdapterKey, Pooling

T = TypeVar("T")

FIRST = AdapterKey("sha256:" + "1" * 64, "team/first", 3)
SECOND = AdapterKey("sha256:" + "2" * 64, "team/second", 1)


def served(act: Callable[[Rest], Awaitable[T]]) -> T:
    async def scenario() -> T:
        async with rest_serving() as rest:
            rest.resolver.adapters |= {"team/first": FIRST, "team/second": SECOND}
            return await act(rest)

    return asyncio.run(scenario())


def asked(path: str, **body: object) -> Reply:
    return served(lambda rest: rest.post(path, {"model": "tiny", **body}))


def test_an_echo_with_log_probabilities_tells_of_the_prompt_and_of_the_answer() -> None:
    """As lm-eval's local-completions asks: what stands before the last entry is the prompt's."""
    said: Any = asked(
        "/v1/completions", prompt=[[97, 98, 99]], echo=True, logprobs=1, max_tokens=1, temperature=0, seed=1
    ).json()

    logprobs = said["choices"][0]["logprobs"]
    assert logprobs["token_logprobs"][:3] == [None, -0.25, -0.25]
    assert logprobs["top_logprobs"][0] is None
    assert [max(each.values()) for each in logprobs["top_logprobs"][1:3]] == [-0.25, -0.25]
    assert logprobs["tokens"][:4] == ["a", "b", "c", "A"]
    assert logprobs["text_offset"][:4] == [0, 1, 2, 3]
    assert said["choices"][0]["text"].startswith("abc")


def test_a_stream_with_echo_begins_with_the_prompt() -> None:
    reply = asked("/v1/completions", prompt="abc", echo=True, logprobs=0, stream=True)

    events: list[Any] = reply.events()
    chunks = [each["choices"][0] for each in events]
    assert chunks[0]["text"] == "abcOnce"
    assert chunks[0]["logprobs"]["token_logprobs"] == [None, -0.25, -0.25, -0.5]
    assert chunks[0]["logprobs"]["top_logprobs"][1] == {"b": -0.25}
    assert chunks[1]["logprobs"]["text_offset"] == [4]


@pytest.mark.parametrize("fields", [{}, {"logprobs": 0}])
def test_a_prompt_is_echoed_without_an_answer(fields: dict[str, object]) -> None:
    said: Any = asked("/v1/completions", prompt="abc", echo=True, max_tokens=0, **fields).json()

    choice = said["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("abc", "stop")
    assert (choice["logprobs"] is None) == (not fields)


def test_nothing_is_generated_only_beside_an_echo() -> None:
    reply: Any = asked("/v1/completions", prompt="abc", max_tokens=0).json()

    assert reply["error"]["param"] == "max_tokens"


def test_biases_are_given_by_the_text_of_an_id() -> None:
    async def act(rest: Rest) -> tuple[dict[int, float], Any]:
        body = {"model": "tiny", "prompt": "x", "logit_bias": {"65": -100, "66": 2}}
        await rest.post("/v1/completions", body)
        wrong = await rest.post("/v1/completions", {**body, "logit_bias": {"A": 1}})
        return dict(rest.engine.submitted[0].request.sampling.logit_bias), wrong.json()

    told, wrong = served(act)

    assert told == {65: -100, 66: 2}
    assert wrong["error"]["param"] == "logit_bias"


BLEND = [{"model": "team/first", "weight": 0.7}, {"model": "team/second"}]


def test_a_blend_is_told_in_the_head() -> None:
    reply = asked("/v1/completions", prompt="x", blend=BLEND)

    said: Any = reply.json()
    assert reply.headers["x-parfocal-adapter"] == "team/first@3*0.7+team/second@1*1"
    assert said["system_fingerprint"].startswith("blend+sha256:")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "team/first", "blend": BLEND}, "model"),
        ({"blend": [{"model": ""}]}, "blend[0].model"),
        ({"blend": [{"model": "team/first", "weight": 1000}]}, "blend[0].weight"),
        ({"blend": [{"model": "team/first", "share": 1}]}, "blend[0].share"),
    ],
)
def test_a_bad_blend_is_refused_by_its_place(body: dict[str, object], param: str) -> None:
    reply: Any = asked("/v1/completions", prompt="x", **body).json()

    assert reply["error"]["param"] == param


def test_inputs_become_vectors_in_their_order() -> None:
    reply = asked("/v1/embeddings", model="team/first", input=["ab", "c"], user="me")

    said: Any = reply.json()
    assert [(each["index"], each["embedding"]) for each in said["data"]] == [
        (0, [2.0, 97.0]),
        (1, [1.0, 99.0]),
    ]
    assert said["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert (said["object"], said["model"]) == ("list", "team/first")
    assert reply.headers["x-parfocal-digest"] == FIRST.digest


@pytest.mark.parametrize(
    ("given", "vectors"),
    [("ab", [(2.0, 97.0)]), ([7, 8], [(2.0, 7.0)]), ([[7], [8, 9]], [(1.0, 7.0), (2.0, 8.0)])],
)
def test_vectors_come_in_base64_for_who_asks(given: object, vectors: list[tuple[float, ...]]) -> None:
    said: Any = asked("/v1/embeddings", input=given, encoding_format="base64").json()

    raw = [base64.b64decode(each["embedding"]) for each in said["data"]]
    assert [struct.unpack("<2f", each) for each in raw] == vectors


def test_pooling_and_length_can_be_chosen() -> None:
    async def act(rest: Rest) -> tuple[Pooling | None, bool]:
        body = {"model": "tiny", "input": "ab", "pooling": "mean", "normalise": False, "blend": BLEND}
        assert (await rest.post("/v1/embeddings", body)).status == 200
        request = rest.engine.submitted[0].request
        assert request.adapter is not None and request.adapter.parts
        return request.pooling, request.normalised

    assert served(act) == (Pooling.MEAN, False)


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"input": []}, "input", "at least one"),
        ({"input": ["x", ""]}, "input[1]", "input[1]: the prompt is empty"),
        ({"input": ["x", "y" * 500]}, "input[1]", "context"),
        ({"input": "x", "dimensions": 8}, "dimensions", "leave it out"),
        ({"input": ["x"] * 257}, "input", "at most 256"),
        ({"input": "x", "encoding_format": "hex"}, "encoding_format", "base64"),
    ],
)
def test_bad_inputs_are_refused_by_their_place(body: dict[str, object], param: str, words: str) -> None:
    reply = asked("/v1/embeddings", **body)

    said: Any = reply.json()
    assert (reply.status, said["error"]["param"]) == (400, param)
    assert words in said["error"]["message"]
