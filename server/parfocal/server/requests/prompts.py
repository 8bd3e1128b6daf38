"""Turns prompts and chats into token ids with the base's tokenizer. Knows neither the wire nor the queue.

Everything here computes; call it off the event loop, through `EncoderPool`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from queue import SimpleQueue
from typing import Protocol, TypeVar

import jinja2

from parfocal.engine import PromptTooLong
from parfocal.server.errors import BadChat, NoChatTemplate

_T = TypeVar("_T")


class Tokenizer(Protocol):
    """The part of a transformers tokenizer that serving needs."""

    chat_template: object

    def __call__(self, text: str, *, verbose: bool) -> Mapping[str, list[int]]:
        """Returns the text's `input_ids`, with the special tokens that the tokenizer adds by itself."""

    def apply_chat_template(
        self,
        conversation: list[dict[str, str]],
        *,
        add_generation_prompt: bool,
        sanitize_control_tokens: bool,
    ) -> Mapping[str, list[int]]:
        """Returns the `input_ids` of the whole conversation, up to where the answer begins."""

    def decode(self, token_ids: list[int], /) -> str:
        """Returns the text of these tokens."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation."""

    role: str
    content: str


class PromptEncoder:
    """Encodes prompts for one base. Not thread-safe: encoding changes the tokenizer itself for a moment."""

    def __init__(self, tokenizer: Tokenizer, context_tokens: int, longest_token: int) -> None:
        self._tokenizer = tokenizer
        self._context_tokens = context_tokens
        self._longest_token = longest_token

    def prompt(self, text: str) -> tuple[int, ...]:
        """Returns a plain text's token ids, special tokens added as the tokenizer does by default.

        Raises PromptTooLong.
        """
        self._refuse_hopeless(len(text), "prompt")
        return tuple(self._tokenizer(text, verbose=False)["input_ids"])

    def chat(self, messages: Sequence[ChatMessage]) -> tuple[int, ...]:
        """Returns the token ids of a conversation written with the base's chat template.

        Control tokens inside a message's content stay ordinary text, so nobody can forge another's turn.

        Raises NoChatTemplate, BadChat or PromptTooLong.
        """
        if self._tokenizer.chat_template is None:
            raise NoChatTemplate("the base has no chat template; send a prompt or tokens", field="chat")
        self._refuse_hopeless(sum(len(message.content) for message in messages), "chat")
        try:
            encoded = self._tokenizer.apply_chat_template(
                [asdict(message) for message in messages],
                add_generation_prompt=True,
                sanitize_control_tokens=True,
            )
        except jinja2.TemplateError as error:
            raise BadChat(
                f"the base's chat template refuses these messages: {error}", field="chat"
            ) from error
        return tuple(encoded["input_ids"])

    def text(self, token_ids: Sequence[int]) -> str:
        """Returns the text that the tokens spell, special tokens included."""
        return self._tokenizer.decode(list(token_ids))

    def texts(self, token_ids: Sequence[int]) -> list[str]:
        """Returns each token's own text; a token that is a part of a character shows as U+FFFD."""
        return [self._tokenizer.decode([token_id]) for token_id in token_ids]

    def _refuse_hopeless(self, characters: int, field: str) -> None:
        """Refuses, before the work of tokenising it, what would not fit even in the longest tokens."""
        tokens = -(-characters // self._longest_token)
        if tokens >= self._context_tokens:
            raise PromptTooLong(
                f"the {field} has {characters} characters, at least {tokens} tokens, but the context holds "
                f"{self._context_tokens} including at least one new token; shorten it",
                field=field,
            )


class EncoderPool:
    """Threads that each take an encoder for themselves; the event loop never waits for a tokenizer."""

    def __init__(self, encoders: Sequence[PromptEncoder]) -> None:
        self._free: SimpleQueue[PromptEncoder] = SimpleQueue()
        for encoder in encoders:
            self._free.put(encoder)
        self._threads = ThreadPoolExecutor(len(encoders), thread_name_prefix="parfocal-text")

    async def run(self, work: Callable[[PromptEncoder], _T]) -> _T:
        """Returns what `work` returns for a free encoder; raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._with_encoder, work)

    def close(self) -> None:
        """Lets running work end and starts no other."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _with_encoder(self, work: Callable[[PromptEncoder], _T]) -> _T:
        encoder = self._free.get_nowait()
        try:
            return work(encoder)
        finally:
            self._free.put(encoder)
