"""Encodes text in which some special tokens are only quoted: those stay text, all others are tokens.

The tokenizer sees the whole text at once, so that spaces and adjacent letters are merged as always.
"""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from parfocal.engine.chats.special_texts import SpecialTexts
from parfocal.engine.errors import ChatRefused

if TYPE_CHECKING:
    from tokenizers import AddedToken, Encoding, Tokenizer

_LAST = 0x10FFFD  # in private-use plane 16; stand-ins are allotted downwards from here


class QuotingTokenizer:
    """A copy of a tokenizer that reads its special tokens as text, and a stand-in for each as the token.

    A stand-in is one private character, repeated to the token's length, so that offsets stay valid.
    """

    def __init__(self, tokenizer: "Tokenizer", specials: SpecialTexts) -> None:
        self._specials = specials
        self._tokenizer = copy.deepcopy(tokenizer)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        self._stand_ins: dict[str, str] = {}
        self._ids: dict[int, int] = {}
        for token_id, token in tokenizer.get_added_tokens_decoder().items():
            if token.special:
                self._add(token_id, token)

    def encode(self, text: str, quoted: Sequence[int]) -> "Encoding":
        """Tokens of `text`; `quoted` are the places of special tokens that are text. See `true_ids`.

        Raises:
            ChatRefused: the text holds a stand-in.
        """
        clash = next((sign for sign in self._stand_ins.values() if sign in text), None)
        if clash is not None:
            raise ChatRefused(
                f"a message holds both a special token's text and the private character U+{ord(clash[0]):X}; "
                "leave one of them out",
                field="chat",
            )
        written = self._with_stand_ins(text, quoted)
        # Of several texts, because `encode` keeps every other thread of Python waiting, 0.8 s for a megabyte.
        encodings: list[Encoding] = self._tokenizer.encode_batch([written], add_special_tokens=False)
        return encodings[0]

    def true_ids(self, encoding: "Encoding") -> list[int]:
        """The ids of `encoding` as the model knows them, with no stand-ins."""
        return [self._ids.get(token_id, token_id) for token_id in encoding.ids]

    def _add(self, token_id: int, token: "AddedToken") -> None:
        sign = chr(_LAST - len(self._stand_ins)) * len(token.content)
        self._stand_ins[token.content] = sign
        stand_in = type(token)(sign, lstrip=token.lstrip, rstrip=token.rstrip, normalized=token.normalized)
        self._tokenizer.add_tokens([stand_in])
        stand_in_id = self._tokenizer.token_to_id(sign)
        assert stand_in_id is not None  # it was just added
        self._ids[stand_in_id] = token_id

    def _with_stand_ins(self, text: str, quoted: Sequence[int]) -> str:
        broken = list(text)
        for at in quoted:
            broken[at] = "\0"
        pieces, done = [], 0
        for at, token in self._specials.found("".join(broken)):
            pieces += [text[done:at], self._stand_ins[token]]
            done = at + len(token)
        return "".join([*pieces, text[done:]])
