"""What a caller asks for, as every face reads it: checked, but its adapter and tokens are not known yet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from parfocal.engine import AdapterKey, Request, Sampling, Stop
from parfocal.engine.chats import Chat, Value
from parfocal.engine.constraints import Constraint, ConstraintSpec
from parfocal.server.errors import BadRequest
from parfocal.server.requests.adapters import Manner
from parfocal.server.requests.prompts import PromptEncoder
from parfocal.v1.limits import (
    CHAT_MESSAGES,
    CHOICES,
    PROMPT_TOKENS,
    REQUEST_ID_CHARACTERS,
    STOP_STRING_BYTES,
    STOP_STRINGS,
    STOP_TOKENS,
    TOP_LOGPROBS,
    Limit,
)

Encode = Callable[[PromptEncoder, Manner], tuple[int, ...]]

# Seeds are 64-bit integers with a sign; the one after the largest is the smallest.
_SEEDS = 1 << 64


@dataclass(frozen=True, slots=True)
class Input:
    """What to answer. `form` is `chat`, `raw` or None for token ids; `encode` gives the prompt's ids.

    `variables` are the names of what the caller sets for the template to read beside the messages, `tools`
    those of the tools that the answer may call.
    """

    form: str | None
    encode: Encode
    variables: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerateCall:
    """A request whose adapter and tokens are not known yet.

    `choices` answers are drawn from one prompt. `prompt` is the text to echo; empty where only tokens are
    known. The ranges of sampling, stop and token ids are the engine's to check; its errors name the same
    fields.
    """

    adapter: str
    input: Input
    prompt: str
    sampling: Sampling
    stop: Stop
    logprobs: bool
    top_logprobs: int
    echo: bool
    request_id: str
    choices: int = 1
    output_format: ConstraintSpec | None = None

    def check(self) -> None:
        """Raises BadRequest naming the field at fault, as the wire's messages call it."""
        hold(TOP_LOGPROBS, self.top_logprobs, "options.top_logprobs")
        if self.top_logprobs and not self.logprobs:
            raise BadRequest("top_logprobs needs logprobs; set both", field="options.top_logprobs")
        hold(CHOICES, self.choices, "options.choices")
        if self.choices < 1:
            raise BadRequest(
                f"options.choices is {self.choices}; ask for at least 1", field="options.choices"
            )
        _check_stop(self.stop)
        _check_id(self.request_id)

    def requests(
        self,
        ids: tuple[int, ...],
        adapter: AdapterKey | None,
        deadline: float | None,
        constraint: Constraint | None = None,
    ) -> list[Request]:
        """The engine's requests, one for each choice; `deadline` is a `time.monotonic()` instant.

        `constraint` is what `output_format` was compiled to.
        """
        first = Request(
            request_id=self.request_id,
            prompt_ids=ids,
            adapter=adapter,
            sampling=self.sampling,
            stop=self.stop,
            logprobs=self.logprobs,
            top_logprobs=self.top_logprobs,
            deadline=deadline,
            constraint=constraint,
        )
        if self.choices == 1:
            return [first]
        return [
            replace(first, request_id=f"{self.request_id}/{number}", sampling=self._sampling_of(number))
            for number in range(self.choices)
        ]

    def _sampling_of(self, choice: int) -> Sampling:
        seed = self.sampling.seed
        if seed is None:
            return self.sampling
        return replace(self.sampling, seed=(seed + choice + _SEEDS // 2) % _SEEDS - _SEEDS // 2)


def prompt_input(text: str) -> Input:
    """A plain prompt; raises BadRequest."""
    if not text:
        raise BadRequest("the prompt is empty; write at least one character", field="prompt")
    return Input("raw", lambda encoder, manner: encoder.prompt(text))


def tokens_input(ids: tuple[int, ...]) -> Input:
    """Token ids used as they are; raises BadRequest."""
    if not ids:
        raise BadRequest("there are no token ids; give at least one", field="tokens.ids")
    hold(PROMPT_TOKENS, len(ids), "tokens.ids")
    return Input(None, lambda encoder, manner: ids)


def chat_input(chat: Chat) -> Input:
    """A chat; what the adapter was trained with stands in for the variables that it does not set."""
    hold(CHAT_MESSAGES, len(chat.messages), "chat.messages")

    def encode(encoder: PromptEncoder, manner: Manner) -> tuple[int, ...]:
        variables = {**manner.variables, **chat.variables}
        return encoder.chat(replace(chat, variables=variables), manner.template)

    variables = (*chat.variables, *(["tools"] if chat.tools else []))
    return Input("chat", encode, variables, tuple(map(_tool_name, chat.tools)))


def _tool_name(tool: Mapping[str, Value]) -> str:
    """As OpenAI describes a tool, or as some templates want it: without the outer object."""
    function = tool.get("function")
    name = function.get("name") if isinstance(function, Mapping) else tool.get("name")
    return name if isinstance(name, str) else ""


def hold(limit: Limit, count: int, field: str) -> None:
    """Raises BadRequest where `field` has more than its limit."""
    if count > limit.most:
        raise BadRequest(f"{field} has {count} {limit.unit}; at most {limit.most} are accepted", field=field)


def _check_stop(stop: Stop) -> None:
    hold(STOP_STRINGS, len(stop.strings), "stop.strings")
    hold(STOP_TOKENS, len(stop.token_ids), "stop.token_ids")
    for place, text in enumerate(stop.strings):
        field = f"stop.strings[{place}]"
        if not text:
            raise BadRequest("a stop string is empty; leave it out", field=field)
        hold(STOP_STRING_BYTES, len(text.encode()), field)


def _check_id(request_id: str) -> None:
    hold(REQUEST_ID_CHARACTERS, len(request_id), "request_id")
    if not request_id.isprintable():
        raise BadRequest("the request_id has characters that cannot be printed", field="request_id")
