"""The base's tokenizer and chat template, loaded without weights (and, for most bases, without torch).

Turns text into token ids; knows nothing of masks or labels.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from parfocal.engine.chats import (
    Chat,
    ChatEncoder,
    ChatTokenizer,
    Value,
    Written,
    default_template,
)
from parfocal.engine.text import TokenizerFaults, end_token_ids, tokenizer_fault
from parfocal.registry import BaseUnreachable
from parfocal.registry.bases import tokenizer_reader
from parfocal.training.data.rows import Turn
from parfocal.training.errors import BaseUnfit

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PLAIN_CLASS = "TokenizersBackend"


class BaseEncoder:
    """The tokenizer of a base folder, as serving uses it."""

    def __init__(
        self, folder: Path, variables: Mapping[str, Value] | None = None, template: str | None = None
    ) -> None:
        """Loads the tokenizer; `variables` are what the chat template reads besides the messages.

        `template` replaces the base's own, for an adapter that carries one.

        Raises:
            BaseUnfit: the folder holds no tokenizer, or one without an end-of-sequence token.
        """
        self.tokenizer = _tokenizer(folder)
        self._variables = dict(variables or {})
        self._chats = ChatEncoder(cast(ChatTokenizer, self.tokenizer))
        self.eos_id = _eos_id(self.tokenizer, folder)
        pad = self.tokenizer.pad_token_id
        self.pad_id: int = pad if isinstance(pad, int) else self.eos_id
        self.end_ids = frozenset(end_token_ids(folder, self.eos_id))
        self.unknown_id: int | None = self.tokenizer.unk_token_id
        self._template = template
        self.has_template = template is not None or self.tokenizer.chat_template is not None
        self.special_texts = _special_texts(self.tokenizer)

    def encode(self, text: str, *, special: bool) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids` without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def spell(self, ids: Sequence[int]) -> str:
        """The text of `ids` with special tokens written out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))

    def write(
        self,
        turns: Sequence[Turn],
        tools: Sequence[Mapping[str, Value]] = (),
        *,
        generation_prompt: bool,
        marks: bool = False,
    ) -> Written:
        """The turns as the template renders them, as in serving; raises ChatRefused."""
        messages = tuple({"role": turn.role, "content": turn.content, **turn.extra} for turn in turns)
        chat = Chat(messages, self._variables, tuple(tools))
        return self._chats.write(
            chat, template=self._template, generation_prompt=generation_prompt, marks=marks
        )

    def chat_ids(self, written: Written) -> list[int]:
        """The token ids of rendered turns."""
        return self._chats.ids(written)

    def answer_mask(self, written: Written) -> list[bool] | None:
        """Which tokens the template itself marks as answers; None where it marks none."""
        return self._chats.answer_mask(written) if written.answers else None

    def unread_variables(self, *, chats: bool) -> list[str]:
        """The template variables that are mentioned nowhere; without `chats` no template is used."""
        template = (default_template(self.tokenizer.chat_template) or "") if chats else ""
        return [name for name in self._variables if name not in template]


def _tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """AutoTokenizer imports torch; a plain tokenizer.json is read the same without it."""
    try:
        if (folder / "tokenizer.json").is_file() and tokenizer_reader(folder) == _PLAIN_CLASS:
            from transformers import PreTrainedTokenizerFast

            with TokenizerFaults():
                plain: PreTrainedTokenizerBase = PreTrainedTokenizerFast.from_pretrained(folder)
            return plain
        from transformers import AutoTokenizer

        with TokenizerFaults():
            own: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    except (BaseUnreachable, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        reason = tokenizer_fault(folder) or " ".join(str(error).split())[:300]
        raise BaseUnfit(
            f"{folder} holds no tokenizer that transformers can load: {reason}; download the "
            "base again, or save its tokenizer again"
        ) from error
    return own


def _eos_id(tokenizer: "PreTrainedTokenizerBase", folder: Path) -> int:
    eos = tokenizer.eos_token_id
    if not isinstance(eos, int):
        raise BaseUnfit(f"the tokenizer in {folder} has no end-of-sequence token, so answers could not end")
    return eos


def _special_texts(tokenizer: "PreTrainedTokenizerBase") -> tuple[str, ...]:
    added = tokenizer.added_tokens_decoder.values()
    return tuple(sorted({str(token) for token in added if token.special}, key=len, reverse=True))
