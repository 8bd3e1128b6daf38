"""No HTTP request holds the event loop for more than 50 ms, whatever is sent: gRPC's streams run on it too.

Every route is asked with the largest body that it accepts, some with one that it refuses.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fakes.rest import Rest, rest_serving
from fakes.served_aside import aside
from fakes.tokenizer import ALTERNATE
from fakes.watched_loop import WatchedLoop, no_collections
from parfocal.server.faces.openai.bodies import SHORT_BYTES
from parfocal.v1 import limits

CONTEXT_TOKENS = 1 << 21
ANSWER_TOKENS = 3000
ADAPTERS = 5000
CHAT, TEXT, EMBED = "POST /v1/chat/completions", "POST /v1/completions", "POST /v1/embeddings"
ROOM = limits.REQUEST_BYTES.most - 1000
# Bodies of as many bytes are the largest that are read on the loop itself.
SHORT = SHORT_BYTES - 100
# What a request itself costs, it costs each time; a core shared with others takes twice as long now and then.
TRIES = 3


@dataclass(frozen=True, slots=True)
class Stand:
    """A server on a loop that is watched."""

    loop: WatchedLoop
    rest: Rest


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    loop = WatchedLoop()
    with aside(rest_serving(ALTERNATE, context_tokens=CONTEXT_TOKENS), loop) as rest:
        rest.engine.words = ("x",) * ANSWER_TOKENS
        rest.adapters.page = 1000
        for number in range(ADAPTERS):
            rest.adapters.add(f"team/adapter-{number}", prod=1)
        yield Stand(loop, rest)


def said(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def tools() -> list[object]:
    """As many as a chat may have, and as long."""
    each = limits.TOOL_CHARACTERS.most // limits.TOOL_CALLS.most - 100
    return [
        {"type": "function", "function": {"name": f"f{number}", "description": "d" * each}}
        for number in range(limits.TOOL_CALLS.most)
    ]


def words(count: int) -> list[str]:
    return ["n" * limits.STOP_STRING_BYTES.most] * count


STOPS = {"stop": words(limits.STOP_STRINGS.most), "stop_token_ids": [500] * limits.STOP_TOKENS.most}
BIASES = {"logit_bias": {str(number): 1 for number in range(limits.LOGIT_BIASES.most)}}
PROMPT = {"prompt": [500] * limits.PROMPT_LOGPROBS.most, "echo": True, "logprobs": 0, "max_tokens": 1}

BODIES: dict[str, object] = {
    f"{CHAT}: one message": {"messages": [said("x" * ROOM)]},
    f"{CHAT}: many messages": {"messages": [said("x" * 200)] * limits.CHAT_MESSAGES.most},
    f"{CHAT}: too many messages": {"messages": [{}] * (ROOM // 4)},
    f"{CHAT}: tools": {"messages": [said("x")], "tools": tools(), "tool_choice": "required"},
    f"{CHAT}: variables": {
        "messages": [said("x")],
        "chat_template_kwargs": {"words": ["x"] * (limits.VARIABLES_BYTES.most // 6)},
    },
    f"{CHAT}: schema": {
        "messages": [said("x")],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"enum": ["x"] * (ROOM // 4)}},
        },
    },
    f"{CHAT}: logprobs": {"messages": [said("x")], "logprobs": True, "top_logprobs": 20, **STOPS, **BIASES},
    f"{CHAT}: stream": {"messages": [said("x")], "logprobs": True, "top_logprobs": 20, "stream": True},
    f"{CHAT}: unknown fields": {
        "messages": [said("x")],
        **{f"field-{number}": 1 for number in range(ROOM // 20)},
    },
    f"{CHAT}: short, bad messages": {"messages": [{}] * (SHORT // 4)},
    f"{CHAT}: short, unknown fields": {
        "messages": [said("x")],
        **{f"f{number}": 1 for number in range(SHORT // 14)},
    },
    f"{CHAT}: short, tools": {"messages": [said("x")], "tools": [{}] * (SHORT // 5)},
    f"{TEXT}: short, bad prompt": {"prompt": [[]] * (SHORT // 5) + [{}]},
    f"{TEXT}: short, nested": b'{"model": ' + b"[" * SHORT,
    f"{TEXT}: too many stops": {"prompt": "x", "stop": [""] * (ROOM // 4)},
    f"{TEXT}: too many stop tokens": {"prompt": "x", "stop_token_ids": [1] * (ROOM // 3)},
    f"{TEXT}: too many biases": {
        "prompt": "x",
        "logit_bias": {str(number): 1 for number in range(ROOM // 13)},
    },
    f"{TEXT}: too many texts": {
        "prompt": "x",
        "response_format": {"type": "choice", "choices": [""] * (ROOM // 4)},
    },
    f"{EMBED}: too many": {"input": [""] * (ROOM // 4)},
    f"{TEXT}: tokens": {"prompt": [1] * limits.PROMPT_TOKENS.most, "echo": True},
    f"{TEXT}: too many tokens": {"prompt": [1] * (ROOM // 2)},
    f"{TEXT}: many prompts": {"prompt": ["x" * 3900] * limits.BATCH_REQUESTS.most, "max_tokens": 1},
    f"{TEXT}: prompt": PROMPT,
    f"{TEXT}: prompt, stream": {**PROMPT, "stream": True},
    f"{TEXT}: no JSON": b"[" * ROOM,
    f"{TEXT}: escapes": b'{"prompt": "' + b"\\u00e9" * (ROOM // 6) + b'"}',
    EMBED: {"input": ["x" * 3900] * limits.EMBED_INPUTS.most},
    f"{EMBED}: tokens": {"input": [[1] * 1000] * limits.EMBED_INPUTS.most, "encoding_format": "base64"},
    "POST /tokenize": {"prompt": "x" * 200_000},
    "POST /detokenize": {"tokens": [500] * limits.PROMPT_TOKENS.most},
    "GET /v1/models": None,
    "GET /v1/models?limit=100&after=team/adapter-4000": None,
    "GET /v1/models/tiny": None,
    "GET /tokenizer_info": None,
    "GET /healthz": None,
    "GET /readyz": None,
}


def test_every_route_is_asked(stand: Stand) -> None:
    asked = {name.partition(":")[0].partition("?")[0].replace("/tiny", "/{model:path}") for name in BODIES}

    assert asked == set(stand.rest.routes)


@pytest.mark.parametrize("name", BODIES)
def test_no_request_holds_the_event_loop(stand: Stand, name: str) -> None:
    method, _, path = name.partition(": ")[0].partition(" ")
    body = BODIES[name]
    if isinstance(body, dict):
        body = json.dumps({"model": "tiny", **body}).encode()
    assert body is None or isinstance(body, bytes)
    for _ in range(TRIES):
        stand.loop.holds.clear()
        with no_collections():
            reply = stand.rest.ask(method, path, body, {"content-type": "application/json"})
        assert reply.status < 500
        if not stand.loop.holds:
            break

    assert stand.loop.holds == []
