"""Loads the tokenizer in a base's folder, or says which of its files is at fault."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from parfocal.engine.errors import BaseRefused
from parfocal.engine.text import TokenizerFaults, tokenizer_fault

_VOCABULARIES = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt", "tekken.json", "*.tiktoken")
_ADVICE = "download the base again, or save its tokenizer again"


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of transformers in `folder`; raises BaseRefused where it cannot read one."""
    # Some classes of transformers are content without, and know no word.
    if not any(any(folder.glob(pattern)) for pattern in _VOCABULARIES):
        raise BaseRefused(f"{folder} holds no tokenizer, such as tokenizer.json; {_ADVICE}")
    try:
        with TokenizerFaults():
            return AutoTokenizer.from_pretrained(folder)
    except (
        OSError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ImportError,
        RecursionError,
    ) as error:
        reason = (
            tokenizer_fault(folder) or f"transformers refuses the tokenizer in {folder}: {_one_line(error)}"
        )
        raise BaseRefused(f"{reason}; {_ADVICE}") from error


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
