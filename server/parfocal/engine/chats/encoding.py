"""From a chat to token ids with one tokenizer. The one place where users' text meets special tokens.

Ids are those of transformers' `apply_chat_template(tokenize=True)`, but nobody can inject a special token
through a message: its text stays text, whether whole or assembled from parts by the template.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

from parfocal.engine.chats.messages import Chat
from parfocal.engine.chats.quoting import QuotingTokenizer
from parfocal.engine.chats.special_texts import Mask, SpecialTexts
from parfocal.engine.chats.templates import (
    TemplateCall,
    TemplateRunner,
    Written,
    default_template,
    run_template,
)
from parfocal.engine.errors import ChatRefused, NoChatTemplate

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


class ChatTokenizer(Protocol):
    """The part of a transformers tokenizer that chats need."""

    chat_template: object

    @property
    def special_tokens_map(self) -> Mapping[str, Any]:
        """Special tokens by what they are for, as templates name them: `bos_token`, `eos_token`."""

    @property
    def backend_tokenizer(self) -> "Tokenizer":
        """The Rust tokenizer behind the Python one."""

    def __call__(self, text: str, *, add_special_tokens: bool, verbose: bool) -> Any:
        """Encodes `text`; the result has one of the backend's `encodings`."""


class ChatEncoder:
    """Renders chats with one tokenizer and its template, or another. Like tokenizers, not thread-safe.

    `run` runs templates; `check_length` refuses a written chat by its number of characters, before more work.
    """

    def __init__(
        self,
        tokenizer: ChatTokenizer,
        run: TemplateRunner = run_template,
        check_length: Callable[[int], None] | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._run = run
        self._check_length = check_length
        added = tokenizer.backend_tokenizer.get_added_tokens_decoder().values()
        self._specials = SpecialTexts(
            special=(token.content for token in added if token.special),
            ordinary=(token.content for token in added if not token.special),
        )

    def write(
        self, chat: Chat, *, template: str | None = None, generation_prompt: bool = True, marks: bool = False
    ) -> Written:
        """The chat as the template renders it, up to where an answer begins if `generation_prompt` is set.

        `template` replaces the tokenizer's own; `marks` asks for the places of `{% generation %}` blocks.

        Raises:
            NoChatTemplate: neither the caller nor the tokenizer has a template.
            ChatRefused: the template refuses the chat, or would assemble a special token from its parts.
        """
        template = template or default_template(self._tokenizer.chat_template, tools=bool(chat.tools))
        if template is None:
            raise NoChatTemplate("the base has no chat template; send a prompt or tokens", field="chat")
        written = self._written(chat, template=template, generation_prompt=generation_prompt, marks=marks)
        if self._check_length is not None:
            self._check_length(len(written.text))
        if not self._specials.may_occur(chat):
            return written
        return self._quoted(chat, written, template, generation_prompt, marks)

    def ids(self, written: Written) -> list[int]:
        """Token ids of a rendered chat."""
        encoding = self._encoding(written)
        return self._quoter.true_ids(encoding) if written.quoted else encoding.ids

    def answer_mask(self, written: Written) -> list[bool]:
        """For each token of `ids`, whether a `{% generation %}` block of the template wrote it."""
        encoding = self._encoding(written)
        mask = [False] * len(encoding.ids)
        for start, end in written.answers:
            first, last = encoding.char_to_token(start), encoding.char_to_token(end - 1)
            if first is not None and start < end:
                stop = len(mask) if last is None else last + 1
                mask[first:stop] = [True] * (stop - first)
        return mask

    def _encoding(self, written: Written) -> "Encoding":
        if written.quoted:
            return self._quoter.encode(written.text, written.quoted)
        encoding: Encoding = self._tokenizer(written.text, add_special_tokens=False, verbose=False).encodings[
            0
        ]
        return encoding

    @cached_property
    def _quoter(self) -> QuotingTokenizer:
        return QuotingTokenizer(self._tokenizer.backend_tokenizer, self._specials)

    def _written(self, chat: Chat, *, template: str, generation_prompt: bool, marks: bool) -> Written:
        messages = [{k: v for k, v in message.items() if v is not None} for message in chat.messages]
        variables = {**self._tokenizer.special_tokens_map, **chat.variables}
        return self._run(TemplateCall(template, messages, variables, chat.tools, generation_prompt, marks))

    def _quoted(
        self, chat: Chat, written: Written, template: str, generation_prompt: bool, marks: bool
    ) -> Written:
        """Renders the chat again until no special token in it comes from a user's text."""
        run = partial(self._written, template=template, generation_prompt=generation_prompt)
        avoid = (written.text, template, *chat.texts())
        masked: frozenset[str] = frozenset()
        while True:
            mask = self._specials.mask(masked, avoid)
            typed = self._typed(chat.with_texts(mask.hidden), mask.mark, run)
            if masked and (not typed or typed <= masked):
                written = _shown(mask, run(chat.with_texts(mask.hidden), marks=marks))
            if not typed:
                return written
            if typed <= masked:
                break
            masked |= typed
        # A mark that lost its character may stand before a token of the template: only a comparison tells.
        shut = self._specials.mask(None, avoid)
        if self._specials.powers(written.text, written.quoted) != self._specials.powers(
            run(chat.with_texts(shut.hidden), marks=False).text
        ):
            raise ChatRefused(
                f"the chat template makes the special token {min(typed)!r} out of parts that messages hold; "
                "change the messages that hold parts of it",
                field="chat",
            )
        return written

    def _typed(self, chat: Chat, mark: str, run: Callable[..., Written]) -> frozenset[str]:
        marked = chat.with_texts(lambda text: self._specials.marked(text, mark))
        return self._specials.typed(run(marked, marks=False).text, mark)


def _shown(mask: Mask, written: Written) -> Written:
    text, quoted = mask.shown(written.text)
    return replace(written, text=text, quoted=quoted)
