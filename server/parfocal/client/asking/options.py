"""The keyword arguments of a request, each declared once for both clients and both ways to answer."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from parfocal.client.asking.chats import ChatMessage


class Input(TypedDict, total=False):
    """What to answer, if not the prompt, and who answers.

    Attributes:
        adapter: `name`, `name@3`, `name@prod` or `name@sha256:…`; absent or empty means the base.
        messages: a chat, the oldest message first.
        tokens: token ids, used as they are.
        tools: the functions that the model may call, in a chat.
        template_variables: what the chat template reads beside the messages, such as `enable_thinking`.
    """

    adapter: str
    messages: Sequence[ChatMessage]
    tokens: Sequence[int]
    tools: Sequence[Mapping[str, Any] | str]
    template_variables: Mapping[str, Any]


class Options(Input, total=False):
    """How tokens are drawn, when the answer ends, what else to return. What is absent, the server decides.

    Attributes:
        temperature: divides the logits; 0 is greedy, the default.
        top_k: draw among so many of the likeliest tokens.
        top_p: draw among the likeliest tokens that together reach this probability.
        min_p: draw only among tokens at least this likely relative to the likeliest.
        repetition_penalty: above 1 makes tokens of the prompt and answer less likely.
        presence_penalty: subtracted from the logit of each token that stands in the answer.
        frequency_penalty: the same, once per time that it stands there.
        seed: the same seed draws the same random numbers.
        max_tokens: the answer has no more.
        min_tokens: the answer has no fewer.
        stop: a text, or several, before the first of which the answer ends.
        stop_token_ids: tokens at which it ends.
        ignore_eos: go on after an end-of-sequence token.
        logprobs: return each token's log-probability.
        top_logprobs: and so many of the likeliest at each place; implies `logprobs`.
        echo: begin the text with the prompt.
        request_id: the caller's name for this request, returned and logged.
    """

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    seed: int
    max_tokens: int
    min_tokens: int
    stop: str | Sequence[str]
    stop_token_ids: Sequence[int]
    ignore_eos: bool
    logprobs: bool
    top_logprobs: int
    echo: bool
    request_id: str
