"""OpenAI's own client, as it is sold: every call that this server answers, with strict checks of the replies.

Runs with version 2 and 3 of `openai`: python openai_client.py http://127.0.0.1:8000 MODEL ADAPTER
"""

import asyncio
import json
import sys
from typing import Any

import openai
from pydantic import BaseModel, Field

QUESTION: Any = [{"role": "user", "content": "Dear support, my parcel is late."}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 12}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


YES_OR_NO: Any = {"type": "choice", "choices": ["yes", "no"]}


class Ticket(BaseModel):
    """What an answer is parsed into."""

    urgent: bool
    topic: str = Field(max_length=20)


def check(url: str, model: str, adapter: str) -> None:
    """Calls everything; raises where a reply is not what OpenAI's client expects."""
    with openai.OpenAI(
        base_url=f"{url}/v1", api_key="none", max_retries=0, _strict_response_validation=True
    ) as client:
        _models(client, model, adapter)
        _chats(client, model, adapter)
        _streams(client, model)
        _tools(client, model)
        _parsed(client, model)
        assert client.embeddings.create(model=model, input="Hello", encoding_format="float").data
        _refusals(client, model)
    # Their types know neither that what stands before nothing has no log-probability, nor the base64 that
    # their client asks for by itself.
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        _completions(client, model)
        _embeddings(client, model, adapter)
    asyncio.run(_async(url, model))


def _models(client: openai.OpenAI, model: str, adapter: str) -> None:
    names = {each.id for each in client.models.list()}
    assert {model, adapter} <= names, names
    assert client.models.retrieve(adapter).id == adapter


def _chats(client: openai.OpenAI, model: str, adapter: str) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=adapter, messages=QUESTION, max_completion_tokens=8, temperature=0, user="me", store=False
    )
    assert raw.headers["x-parfocal-adapter"].startswith(f"{adapter}@")
    assert raw.parse().choices[0].message.content
    reply = client.chat.completions.create(
        model=model, messages=QUESTION, max_tokens=6, n=2, seed=7, logprobs=True, top_logprobs=2,
        logit_bias={"5": -100}, frequency_penalty=0.1,
    )  # fmt: skip
    assert [each.index for each in reply.choices] == [0, 1]
    told = reply.choices[0].logprobs
    assert told is not None and told.content and len(told.content[0].top_logprobs) == 2
    assert reply.usage is not None and reply.usage.completion_tokens == 12
    again = [
        client.chat.completions.create(model=model, messages=QUESTION, max_tokens=6, seed=3) for _ in range(2)
    ]
    assert again[0].choices[0].message.content == again[1].choices[0].message.content


def _streams(client: openai.OpenAI, model: str) -> None:
    chunks = list(
        client.chat.completions.create(
            model=model, messages=QUESTION, max_tokens=6, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].usage is not None and not chunks[-1].choices
    assert "".join(each.choices[0].delta.content or "" for each in chunks[:-1])
    with client.chat.completions.stream(
        model=model, messages=QUESTION, max_tokens=20, extra_body={"response_format": YES_OR_NO}
    ) as stream:
        stream.until_done()
        assert stream.get_final_completion().choices[0].message.content in {"yes", "no"}


def _tools(client: openai.OpenAI, model: str) -> None:
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        chosen: Any = choice
        reply = client.chat.completions.create(
            model=model, messages=QUESTION, tools=[WEATHER], tool_choice=chosen, parallel_tool_calls=False,
            max_tokens=200, temperature=0,
        )  # fmt: skip
        calls: Any = reply.choices[0].message.tool_calls
        assert reply.choices[0].finish_reason == "tool_calls", reply
        assert [each.function.name for each in calls] == ["weather"]
        assert set(json.loads(calls[0].function.arguments)) == {"city"}
    with client.chat.completions.stream(
        model=model, messages=QUESTION, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False,
        max_tokens=200, temperature=0,
    ) as stream:  # fmt: skip
        message: Any = stream.get_final_completion().choices[0].message
    assert [each.function.name for each in message.tool_calls] == ["weather"]
    answered: Any = [
        *QUESTION,
        message.model_dump(include={"role", "content", "tool_calls"}),
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "Rain"},
    ]
    for choice in ("auto", "none"):
        chosen = choice
        assert client.chat.completions.create(
            model=model, messages=answered, tools=[WEATHER], tool_choice=chosen, max_tokens=4
        )


def _parsed(client: openai.OpenAI, model: str) -> None:
    found = client.chat.completions.parse(
        model=model, messages=QUESTION, response_format=Ticket, max_tokens=200, temperature=0
    )
    assert isinstance(found.choices[0].message.parsed, Ticket)
    chosen = client.chat.completions.create(
        model=model, messages=QUESTION, max_tokens=20, extra_body={"response_format": YES_OR_NO}
    )
    assert chosen.choices[0].message.content in {"yes", "no"}


def _completions(client: openai.OpenAI, model: str) -> None:
    reply = client.completions.create(model=model, prompt=["Dear", "Hello"], max_tokens=3, n=2, echo=True)
    assert [each.text[:4] for each in reply.choices] == ["Dear", "Dear", "Hell", "Hell"]
    read = client.completions.create(model=model, prompt=[5, 6, 7], max_tokens=1, echo=True, logprobs=1)
    told = read.choices[0].logprobs
    assert told is not None and told.token_logprobs is not None and told.top_logprobs is not None
    assert len(told.token_logprobs) == 4 and told.token_logprobs[0] is None
    assert told.token_logprobs[1] <= max(told.top_logprobs[1].values())
    only = client.completions.create(model=model, prompt="Dear support", max_tokens=0, echo=True, logprobs=0)
    assert only.choices[0].text == "Dear support"
    pieces = client.completions.create(model=model, prompt="Dear", max_tokens=3, stream=True)
    assert "".join(each.choices[0].text for each in pieces)


def _embeddings(client: openai.OpenAI, model: str, adapter: str) -> None:
    texts = client.embeddings.create(model=model, input=["Dear support", "Hello"])
    plain = client.embeddings.create(model=model, input=["Dear support", "Hello"], encoding_format="float")
    for packed, each in zip(texts.data, plain.data, strict=True):
        assert all(
            abs(one - other) < 1e-6 for one, other in zip(packed.embedding, each.embedding, strict=True)
        )
        assert abs(sum(one * one for one in each.embedding) - 1) < 1e-4
    adapted = client.embeddings.create(model=adapter, input="Dear support")
    assert adapted.data[0].embedding != texts.data[0].embedding, "the adapter changes nothing"
    tokens = client.embeddings.create(model=model, input=[[5, 6], [7]])
    assert tokens.usage.prompt_tokens == 3


def _refusals(client: openai.OpenAI, model: str) -> None:
    bad: list[tuple[type[openai.APIStatusError], str, dict[str, Any]]] = [
        (openai.NotFoundError, "model_not_found", {"model": "team/nobody"}),
        (openai.BadRequestError, "invalid_request", {"n": 128}),
        (openai.BadRequestError, "invalid_request", {"extra_body": {"frobnicate": 1}}),
        (openai.BadRequestError, "context_length_exceeded", {"messages": [_said("x " * 30_000)]}),
    ]
    for kind, code, fields in bad:
        try:
            client.chat.completions.create(**{"model": model, "messages": QUESTION, **fields})
        except kind as error:
            assert error.code == code, error
        else:
            raise AssertionError(f"{fields} was accepted")


def _said(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


async def _async(url: str, model: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model=model, messages=QUESTION, max_tokens=200, stream=True
        )
        async for _ in stream:
            break
        await stream.close()
        asked = [
            client.chat.completions.create(model=model, messages=QUESTION, max_tokens=4) for _ in range(4)
        ]
        assert len(await asyncio.gather(*asked)) == 4
        assert (await client.embeddings.create(model=model, input="Hello")).data


if __name__ == "__main__":
    check(*sys.argv[1:])
    print(f"openai {openai.__version__}: every call was answered")
