"""The base's tokenizer and chat template, loaded without weights (and for most bases without torch).

Turns text into token ids; knows nothing of masks or of what is learnt.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import jinja2

from parfocal.training.data.rows import Turn
from parfocal.training.errors import BaseUnfit

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PLAIN_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")


class TemplateRefusal(Exception):
    """The base's chat template does not render these turns; the message is the template's own."""


class Encoder(Protocol):
    """Text to ids, turns to text. `encode` adds the base's start token only where `special` is set."""

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Returns the token ids of `text`."""

    def chat(self, turns: Sequence[Turn], *, generation_prompt: bool) -> str:
        """Returns the turns as the template writes them; raises TemplateRefusal."""


class BaseEncoder:
    """The tokenizer of a base folder, as serving uses it."""

    def __init__(self, folder: Path) -> None:
        """Loads the tokenizer.

        Raises:
            BaseUnfit: the folder holds no tokenizer, or one without an end-of-sequence token.
        """
        self.tokenizer = _tokenizer(folder)
        self.eos_id = _eos_id(self.tokenizer, folder)
        pad = self.tokenizer.pad_token_id
        self.pad_id: int = pad if isinstance(pad, int) else self.eos_id
        self.end_ids = _end_ids(folder) | {self.eos_id}
        self.unknown_id: int | None = self.tokenizer.unk_token_id
        self.has_template = self.tokenizer.chat_template is not None
        self.special_texts = _special_texts(self.tokenizer)

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Returns the token ids of `text`."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of `ids` without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def chat(self, turns: Sequence[Turn], *, generation_prompt: bool) -> str:
        """Returns the turns as the template writes them; raises TemplateRefusal."""
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=generation_prompt
                )
            )
        except jinja2.TemplateError as error:
            raise TemplateRefusal(str(error)) from error


def _tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """AutoTokenizer pulls in torch; a plain tokenizer.json is read the same without it."""
    try:
        if (folder / "tokenizer.json").is_file() and _class_name(folder) in _PLAIN_CLASSES:
            from transformers import PreTrainedTokenizerFast

            plain: PreTrainedTokenizerBase = PreTrainedTokenizerFast.from_pretrained(folder)
            return plain
        from transformers import AutoTokenizer

        own: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise BaseUnfit(f"{folder} holds no tokenizer that transformers can load: {error}") from error
    return own


def _class_name(folder: Path) -> str | None:
    path = folder / "tokenizer_config.json"
    return json.loads(path.read_text("utf-8")).get("tokenizer_class") if path.is_file() else None


def _eos_id(tokenizer: "PreTrainedTokenizerBase", folder: Path) -> int:
    eos = tokenizer.eos_token_id
    if not isinstance(eos, int):
        raise BaseUnfit(f"the tokenizer in {folder} has no end-of-sequence token, so answers could not end")
    return eos


def _end_ids(folder: Path) -> frozenset[int]:
    """Returns the ids at which serving stops, from the generation configuration where there is one."""
    path = folder / "generation_config.json"
    try:
        found = json.loads(path.read_text("utf-8")).get("eos_token_id") if path.is_file() else None
    except (OSError, ValueError):
        return frozenset()
    ids = found if isinstance(found, list) else [found]
    return frozenset(i for i in ids if isinstance(i, int))


def _special_texts(tokenizer: "PreTrainedTokenizerBase") -> tuple[str, ...]:
    added = tokenizer.added_tokens_decoder.values()
    return tuple(sorted({str(token) for token in added if token.special}, key=len, reverse=True))
