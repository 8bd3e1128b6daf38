"""Single tokens as text, memoised. Knows nothing of requests."""

from parfocal.server.requests.prompts import Tokenizer


class TokenTexts:
    """Says how one token reads; a token that is a part of a character reads as U+FFFD."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._texts: dict[int, str] = {}

    def __call__(self, token_id: int) -> str:
        """The token's text. The memory is bounded by the vocabulary."""
        if token_id not in self._texts:
            self._texts[token_id] = self._tokenizer.decode([token_id])
        return self._texts[token_id]
