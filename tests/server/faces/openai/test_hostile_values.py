"""Values that no client means: each is refused by its name, shortly, and the next request works."""

import asyncio
import json
from typing import Any

from fakes.rest import Reply, rest_serving

HUGE, LONG = 10**400, 10**4000
HELLO = [{"role": "user", "content": "Hi"}]
NUMBERS = ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty")
INTEGERS = ("seed", "n", "max_tokens", "min_tokens", "top_k", "top_logprobs")


def calling(arguments: str) -> dict[str, Any]:
    """A chat in which a tool was called so."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return {"messages": [*HELLO, {"role": "assistant", "tool_calls": [call]}]}


def showing(**part: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, part]}]}


ARGUMENTS = "messages[1].tool_calls[0].function.arguments"
PART = "messages[0].content[1]"
# What a body says, the field that is refused, and words of the message.
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    **{f"{name} of {digits} digits": ({name: value}, name, name)
       for name in (*NUMBERS, *INTEGERS) for digits, value in ((400, HUGE), (4000, LONG))},
    **{f"{name} is no number": ({name: float("nan")}, name, name) for name in NUMBERS},
    **{f"{name} has no end": ({name: float("inf")}, name, name) for name in NUMBERS},
    "a bias of 400 digits": ({"logit_bias": {"5": HUGE}}, "logit_bias", "number"),
    "a bias that is no number": ({"logit_bias": {"5": float("nan")}}, "logit_bias", "-100 to 100"),
    "a weight of 400 digits": ({"blend": [{"model": "a", "weight": HUGE}]}, "blend[0].weight", "number"),
    "a seed beyond 64 bits": ({"seed": 1 << 63}, "seed", "seed"),
    "a nested call": (calling("[" * 100_000), ARGUMENTS, "nested too deeply"),
    "a deeply nested call": (calling('{"a":' * 300 + "1" + "}" * 300), ARGUMENTS, "deep"),
    "a number of 5000 digits in a call": (calling('{"a": 1' + "0" * 5000 + "}"), ARGUMENTS, "digits"),
    "half a character in a call": (calling('{"a": "\\ud800"}'), ARGUMENTS, "surrogate"),
    "a picture": (showing(type="image_url", image_url={"url": "x"}), f"{PART}.type", "'image_url'"),
    "a sound": (showing(type="input_audio", input_audio={}), f"{PART}.type", "'input_audio'"),
    "a file": (showing(type="file", file={}), f"{PART}.type", "'file'"),
    "an unknown field of a part": (showing(type="text", text="a", foo=1), f"{PART}.foo", "Unrecognized"),
    "a part without text": (showing(type="text"), f"{PART}.text", "no text"),
    "a long name": ({"model": "x" * 100_000}, "model", "…"),
    "a long role": ({"messages": [{"role": "r" * 100_000, "content": "x"}]}, "messages[0].role", "unknown"),
    "a long variable": ({"chat_template_kwargs": {"v" * 60_000 + " ": 1}}, "chat_template_kwargs", "cannot"),
}  # fmt: skip


def test_each_is_refused_by_its_name_and_the_next_request_works() -> None:
    def body(fields: dict[str, Any]) -> bytes:
        return json.dumps({"model": "tiny", "messages": HELLO, "logprobs": True, **fields}).encode()

    async def scenario() -> tuple[dict[str, Reply], Reply]:
        async with rest_serving() as rest:
            path = "/v1/chat/completions"
            replies = {name: await rest.post(path, body(case[0])) for name, case in REFUSED.items()}
            return replies, await rest.post(path, body({}))

    replies, following = asyncio.run(scenario())

    for name, (_, param, words) in REFUSED.items():
        error: Any = replies[name].json()["error"]
        assert replies[name].status in (400, 404), (name, error)
        assert error["param"] == param, name
        assert words in error["message"], (name, error["message"])
        assert len(error["message"]) <= 1000, name
    assert following.status == 200


def test_what_is_large_but_has_a_meaning_is_served() -> None:
    fields: tuple[dict[str, Any], ...] = (
        {"max_tokens": (1 << 63) - 1},
        {"seed": -(1 << 63), "n": 2},
        {"temperature": 1},
        {"temperature": 1e-320},
        {"logit_bias": {"5": 100, "05": -100}},
    )

    async def scenario() -> list[int]:
        async with rest_serving() as rest:
            bodies = [{"model": "tiny", "messages": HELLO, **each} for each in fields]
            return [(await rest.post("/v1/chat/completions", body)).status for body in bodies]

    assert asyncio.run(scenario()) == [200] * len(fields)
