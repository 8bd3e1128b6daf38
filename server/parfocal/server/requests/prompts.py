"""Turns prompts and chats into token ids with the base's tokenizer. Knows neither the wire nor the queue.

Everything here is CPU-bound; call it through `EncoderPool`, which keeps it off the event loop.
"""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

from parfocal.engine import PromptTooLong
from parfocal.engine.chats import (
    CallFormat,
    Chat,
    ChatEncoder,
    ChatTokenizer,
    TemplateRunner,
    default_template,
    learnt_format,
    run_template,
)
from parfocal.registry.values import Recent

_T = TypeVar("_T")

# A format is some words; its key is a template, which anyone who publishes adapters may have written.
_FORMATS_BYTES = 4 << 20
_FORMAT_BYTES = 1000


class Tokenizer(ChatTokenizer, Protocol):
    """The part of a transformers tokenizer that serving needs."""

    def __call__(self, text: str, *, add_special_tokens: bool = True, verbose: bool) -> Any:
        """The text's `input_ids`, with the special tokens that the tokenizer adds by itself."""

    def decode(self, token_ids: list[int], /) -> str:
        """The text of these tokens."""


class PromptEncoder:
    """Encodes prompts for one base. Not thread-safe: encoding changes the tokenizer itself for a moment.

    `run` runs chat templates.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        context_tokens: int,
        longest_token: int,
        run: TemplateRunner = run_template,
    ) -> None:
        self._tokenizer = tokenizer
        self._chats = ChatEncoder(tokenizer, run, functools.partial(self._refuse_hopeless, field="chat"))
        # What a template writes of a probe is no prompt, and need not fit the context.
        self._probes = ChatEncoder(tokenizer, run)
        self._context_tokens = context_tokens
        self._longest_token = longest_token
        added = tokenizer.backend_tokenizer.get_added_tokens_decoder().values()
        self._special_texts = frozenset(token.content for token in added if token.special)
        self._formats: Recent[str, CallFormat] = Recent(_FORMATS_BYTES)

    def prompt(self, text: str) -> tuple[int, ...]:
        """Token ids of a plain text, special tokens added as the tokenizer does by default.

        Raises PromptTooLong.
        """
        self._refuse_hopeless(len(text), "prompt")
        return tuple(self._tokenizer(text, verbose=False)["input_ids"])

    def plain(self, text: str) -> tuple[int, ...]:
        """Token ids of a plain text and of nothing else. Raises PromptTooLong."""
        self._refuse_hopeless(len(text), "prompt")
        return tuple(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def chat(self, chat: Chat, template: str | None = None) -> tuple[int, ...]:
        """Token ids of a conversation up to where the answer begins; `template` replaces the base's own.

        Raises NoChatTemplate, ChatRefused or PromptTooLong.
        """
        return tuple(self._chats.ids(self._chats.write(chat, template=template)))

    def call_format(self, template: str | None = None) -> CallFormat:
        """How the base's template, or another, writes the calls of tools; learnt once for each template."""
        key = template or ""
        found = self._formats.get(key)
        if found is None:
            found = learnt_format(functools.partial(self._written, template), self._special_texts)
            self._formats.put(key, found, _FORMAT_BYTES + 4 * len(key))
        return found

    def unread(self, variables: Collection[str], template: str | None = None) -> list[str]:
        """The template variables that the template never mentions."""
        if not variables:
            return []
        own = default_template(self._tokenizer.chat_template, tools="tools" in variables)
        read = template or own or ""
        return [name for name in variables if name not in read]

    def text(self, token_ids: Sequence[int]) -> str:
        """The text that the tokens spell, special tokens included."""
        return self._tokenizer.decode(list(token_ids))

    def texts(self, token_ids: Sequence[int]) -> list[str]:
        """Each token's own text; a token that is a part of a character shows as U+FFFD."""
        return [self._tokenizer.decode([token_id]) for token_id in token_ids]

    def _written(self, template: str | None, chat: Chat, generation_prompt: bool) -> str:
        return self._probes.write(chat, template=template, generation_prompt=generation_prompt).text

    def _refuse_hopeless(self, characters: int, field: str) -> None:
        """Refuses, before tokenising it, text that would not fit even in the longest tokens."""
        tokens = -(-characters // self._longest_token)
        if tokens >= self._context_tokens:
            raise PromptTooLong(
                f"the {field} has {characters} characters, at least {tokens} tokens, but the context holds "
                f"{self._context_tokens} including at least one new token; shorten it",
                field=field,
            )


class EncoderPool:
    """Encoders and as many threads, so that the event loop never waits long for a tokenizer."""

    def __init__(self, encoders: Sequence[PromptEncoder]) -> None:
        self._free: SimpleQueue[PromptEncoder] = SimpleQueue()
        for encoder in encoders:
            self._free.put(encoder)
        self._threads = ThreadPoolExecutor(len(encoders), thread_name_prefix="parfocal-text")

    async def run(self, work: Callable[[PromptEncoder], _T], *, is_short: bool = False) -> _T:
        """What `work` returns for a free encoder; raises what it raises.

        What `is_short`, over before a thread would have begun it, is done here if an encoder is free.
        """
        if is_short:
            with contextlib.suppress(Empty):
                return self._with_encoder(work, wait=False)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._with_encoder, work)

    def close(self) -> None:
        """Lets running work finish and starts no more."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _with_encoder(self, work: Callable[[PromptEncoder], _T], wait: bool = True) -> _T:
        # The event loop may have the one that was left for this thread, and gives it back in a moment.
        encoder = self._free.get(wait)
        try:
            return work(encoder)
        finally:
            self._free.put(encoder)
