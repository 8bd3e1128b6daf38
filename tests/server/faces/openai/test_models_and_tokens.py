"""The list of models, and the tokenizer's routes."""

import asyncio
from typing import Any

from fakes.rest import Reply, rest_serving


def test_models_are_the_base_every_adapter_and_every_alias() -> None:
    async def scenario() -> Reply:
        async with rest_serving() as rest:
            for name in ("team/a", "team/b", "team/c"):
                rest.adapters.add(name, prod=1)
            return await rest.get("/v1/models")

    said: Any = asyncio.run(scenario()).json()

    names = [each["id"] for each in said["data"]]
    assert names == ["tiny", *(f"team/{each}{alias}" for each in "abc" for alias in ("", "@prod"))]
    assert said["has_more"] is False


def test_models_come_in_pages_for_who_asks() -> None:
    async def scenario() -> list[Reply]:
        async with rest_serving() as rest:
            rest.adapters.add("team/a", prod=1)
            paths = ("/v1/models?limit=2", "/v1/models?limit=2&after=team/a", "/v1/models?after=nobody")
            return [await rest.get(path) for path in paths]

    first, second, wrong = asyncio.run(scenario())

    pages: list[Any] = [first.json(), second.json()]
    assert [[each["id"] for each in page["data"]] for page in pages] == [["tiny", "team/a"], ["team/a@prod"]]
    assert [page["has_more"] for page in pages] == [True, False]
    assert wrong.status == 400


def test_one_model_is_found_or_not() -> None:
    async def scenario() -> tuple[Reply, Reply]:
        async with rest_serving() as rest:
            return await rest.get("/v1/models/tiny"), await rest.get("/v1/models/team/nobody@prod")

    found, absent = asyncio.run(scenario())

    assert found.json()["id"] == "tiny"
    assert absent.status == 404


def test_tokens_and_text_are_each_others_reverse() -> None:
    async def scenario() -> tuple[Reply, Reply, Reply]:
        async with rest_serving() as rest:
            tokens = await rest.post("/tokenize", {"prompt": "Hé", "add_special_tokens": False})
            text = await rest.post("/detokenize", {"tokens": tokens.json()["tokens"]})
            return tokens, text, await rest.post("/detokenize", {"tokens": [-1]})

    tokens, text, wrong = asyncio.run(scenario())

    assert tokens.json() == {"tokens": [ord("H"), ord("é")], "count": 2, "max_model_len": 64}
    assert text.json() == {"prompt": "Hé"}
    assert wrong.status == 400


def test_a_chat_can_be_tokenized_as_it_would_be_sent() -> None:
    async def scenario() -> tuple[Any, tuple[int, ...]]:
        async with rest_serving() as rest:
            messages = [{"role": "user", "content": "Hi"}]
            reply = await rest.post("/tokenize", {"messages": messages})
            await rest.post("/v1/chat/completions", {"model": "tiny", "messages": messages})
            return reply.json(), rest.engine.submitted[0].request.prompt_ids

    said, used = asyncio.run(scenario())

    assert tuple(said["tokens"]) == used
