"""What a caller asks for, as every face reads it: checked, but its adapter and tokens are not known yet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from parfocal.engine import AdapterKey, Request, Sampling, Stop
from parfocal.engine.chats import Chat
from parfocal.engine.constraints import Constraint, ConstraintSpec
from parfocal.server.errors import BadRequest
from parfocal.server.requests.adapters import Manner
from parfocal.server.requests.prompts import PromptEncoder
from parfocal.server.requests.tool_choice import AUTO, MustCall, ToolChoice, must_call, tool_name
from parfocal.v1.limits import (
    BLEND_PARTS,
    CHAT_MESSAGES,
    CHOICES,
    PROMPT_LOGPROBS,
    PROMPT_TOKENS,
    REQUEST_ID_CHARACTERS,
    SPLIT_KEY_CHARACTERS,
    STOP_STRING_BYTES,
    STOP_STRINGS,
    STOP_TOKENS,
    TOP_LOGPROBS,
    Limit,
)

Encode = Callable[[PromptEncoder, Manner], tuple[int, ...]]
# References of adapters, each with its weight; empty where there is no blend.
Blend = tuple[tuple[str, float], ...]

# A tokenizer takes 0.1 to 0.7 ms for them, whatever they are.
_SHORT_CHARACTERS = 256
# Copying so many takes 0.1 ms.
_SHORT_TOKENS = 4096
# Seeds are 64-bit integers with a sign; the one after the largest is the smallest.
_SEEDS = 1 << 64


@dataclass(frozen=True, slots=True)
class Input:
    """What to answer. `form` is `chat`, `raw` or None for token ids; `encode` gives the prompt's ids.

    `variables` are the names of what the caller sets for the template to read beside the messages, `tools`
    those of the tools that the answer may call, each answer only one if `single`; `must_call` is there where
    it has to. What `is_short` is encoded sooner than a thread would begin with it.
    """

    form: str | None
    encode: Encode
    variables: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    single: bool = False
    must_call: MustCall | None = None
    is_short: bool = False


@dataclass(frozen=True, slots=True)
class GenerateCall:
    """A request whose adapter and tokens are not known yet.

    `choices` answers are drawn from one prompt. `prompt` is the text to echo; empty where only tokens are
    known. `blend` stands in place of `adapter`. Where an alias has a canary, calls with the same `split_key`
    get the same version; the request's id is the key where there is none. The ranges of sampling, stop and
    token ids are the engine's to check; its errors name the same fields.
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
    blend: Blend = ()
    prompt_logprobs: int | None = None
    split_key: str = ""

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
        if self.prompt_logprobs is not None:
            hold(TOP_LOGPROBS, self.prompt_logprobs, "options.prompt_logprobs")
        if self.blend:
            check_blend(self.adapter, self.blend)
        _check_stop(self.stop)
        check_id(self.request_id)
        hold(SPLIT_KEY_CHARACTERS, len(self.split_key), "split_key")

    def requests(
        self,
        ids: tuple[int, ...],
        adapter: AdapterKey | None,
        deadline: float | None,
        constraint: Constraint | None = None,
    ) -> list[Request]:
        """The engine's requests, one for each choice; `deadline` is a `time.monotonic()` instant.

        `constraint` is what `output_format` was compiled to. Raises BadRequest.
        """
        if self.prompt_logprobs is not None:
            hold(PROMPT_LOGPROBS, len(ids) * (1 + self.prompt_logprobs), "options.prompt_logprobs")
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
            prompt_logprobs=self.prompt_logprobs,
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
    is_short = len(text) <= _SHORT_CHARACTERS
    return Input("raw", lambda encoder, manner: encoder.prompt(text), is_short=is_short)


def tokens_input(ids: Sequence[int]) -> Input:
    """Token ids used as they are; copied where they are encoded, not by who reads them. Raises BadRequest."""
    if not ids:
        raise BadRequest("there are no token ids; give at least one", field="tokens.ids")
    hold(PROMPT_TOKENS, len(ids), "tokens.ids")
    return Input(None, lambda encoder, manner: tuple(ids), is_short=len(ids) <= _SHORT_TOKENS)


def chat_input(chat: Chat, choice: ToolChoice = AUTO) -> Input:
    """A chat; what the adapter was trained with stands in for the variables that it does not set.

    Raises BadRequest.
    """
    hold(CHAT_MESSAGES, len(chat.messages), "chat.messages")
    if not choice.allowed:
        chat = replace(chat, tools=())

    def encode(encoder: PromptEncoder, manner: Manner) -> tuple[int, ...]:
        variables = {**manner.variables, **chat.variables}
        return encoder.chat(replace(chat, variables=variables), manner.template)

    variables = (*chat.variables, *(["tools"] if chat.tools else []))
    if not chat.tools and not choice.required:
        return Input("chat", encode, variables)
    names = tuple(map(tool_name, chat.tools))
    return Input("chat", encode, variables, names, choice.single, must_call(choice, chat.tools))


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


def check_blend(adapter: str, blend: Blend) -> None:
    """Raises BadRequest for a blend that names no adapter or too many; the engine checks its weights."""
    if adapter:
        raise BadRequest("there is an adapter beside a blend; give one of them", field="adapter")
    hold(BLEND_PARTS, len(blend), "blend")
    for place, (reference, _) in enumerate(blend):
        if not reference:
            raise BadRequest(
                "a part of the blend names no adapter; name one", field=f"blend[{place}].adapter"
            )


def check_id(request_id: str) -> None:
    """Raises BadRequest for an id that cannot stand in a log."""
    hold(REQUEST_ID_CHARACTERS, len(request_id), "request_id")
    if not request_id.isprintable():
        raise BadRequest("the request_id has characters that cannot be printed", field="request_id")
