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
        tool_choice: `auto`, `none`, `required`, or the name of the tool that must be called.
        template_variables: what the chat template reads beside the messages, such as `enable_thinking`.
    """

    adapter: str
    messages: Sequence[ChatMessage]
    tokens: Sequence[int]
    tools: Sequence[Mapping[str, Any] | str]
    tool_choice: str
    template_variables: Mapping[str, Any]


class Options(Input, total=False):
    """How tokens are drawn, when the answer ends, what else to return. What is absent, the server decides.

    Of `json_schema`, `json_object`, `regex`, `grammar` and `choice`, at most one says which form the answer
    must have; where `max_tokens` ends it earlier, it is `incomplete`.

    Attributes:
        blend: several adapters at once, each with a weight, instead of `adapter`.
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
        logit_bias: added to the logits of these tokens.
        n: so many answers, each drawn by itself; all of them are the answer's `choices`.
        prompt_logprobs: return the prompt's log-probabilities, and so many of the likeliest at each place.
        json_schema: JSON that is valid under this JSON Schema, an object or its text.
        json_object: any JSON object.
        regex: text that matches this regular expression as a whole.
        grammar: text of this EBNF grammar, which begins with the rule `root`.
        choice: one of these texts.
        request_id: the caller's name for this request, returned and logged.
        split_key: a user or a conversation; where the adapter's alias has a canary, requests with the same
            key get the same version. The request's id is the key where there is none.
    """

    blend: Mapping[str, float]
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
    logit_bias: Mapping[int, float]
    n: int
    prompt_logprobs: int
    json_schema: Mapping[str, Any] | str
    json_object: bool
    regex: str
    grammar: str
    choice: Sequence[str]
    request_id: str
    split_key: str


class Question(Options, total=False):
    """One request of a batch: all that `generate` takes, the prompt by name.

    Attributes:
        prompt: plain text.
    """

    prompt: str
