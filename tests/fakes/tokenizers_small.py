"""Small tokenizers of the three decoder families, built in memory with known ids."""

from tokenizers import AddedToken, Tokenizer, decoders, models

SPECIAL = "<|end|>"


def byte_level(extra: tuple[bytes, ...] = ()) -> Tokenizer:
    """Ids 0-255 are the bytes, then come the `extra` byte strings, cut anywhere, then one special token."""
    signs = _signs()
    tokens = [bytes([byte]) for byte in range(256)] + list(extra)
    vocabulary = {"".join(signs[byte] for byte in token): place for place, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(SPECIAL, special=True)])
    return tokenizer


def metaspace(words: tuple[str, ...]) -> Tokenizer:
    """Words with ▁ for a space, whose first space is not text (as in T5); then one special."""
    return _words(words, decoders.Metaspace())


def byte_fallback(words: tuple[str, ...]) -> Tokenizer:
    """Ids 0-255 are bytes as <0x41>, then words with ▁ for a space, as in Llama 2; then one special."""
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    names = tuple(f"<0x{byte:02X}>" for byte in range(256))
    return _words(names + words, decoders.Sequence(parts))


def _words(words: tuple[str, ...], decoder: decoders.Decoder) -> Tokenizer:
    vocabulary = {word: place for place, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens([AddedToken(SPECIAL, special=True)])
    return tokenizer


def _signs() -> dict[int, str]:
    """The printable sign of each byte in byte-level vocabularies (GPT-2)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
