"""The base's own tokenizer: byte-level BPE in which a name or a digit has the same pieces wherever it stands.

Digits, capitals and most punctuation stand alone; a plain word takes the space before it, a name does not;
the joints of JSON (`": "`, `", "`) are one piece each. Every byte is in the alphabet: any text round-trips.
"""

from collections.abc import Iterable, Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from tiny_base.writing.document import Document

PAD, START, END = "<|pad|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}"
    "{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_PIECES = r'": "|", "|": |",\n|, "|\{"|"\}| ?[a-z]+|[A-Z][a-z]+|[A-Z]|[0-9]|\n+|\s|[^\sA-Za-z0-9]'


def train_tokenizer(documents: Iterable[Document], vocabulary: int) -> Tokenizer:
    """A BPE tokenizer of exactly `vocabulary` entries learnt from the documents.

    Raises ValueError where the documents hold too few different words to fill it.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(documents), trainer)
    if tokenizer.get_vocab_size() != vocabulary:
        raise ValueError(
            f"The documents fill {tokenizer.get_vocab_size()} of {vocabulary} entries: give more of them"
        )
    return tokenizer


def word_pieces(tokenizer: Tokenizer) -> tuple[str, ...]:
    """The entries of two letters or more, in lower case and without their space, sorted."""
    texts = {tokenizer.decode([number]).strip().lower() for number in range(3, tokenizer.get_vocab_size())}
    return tuple(sorted(text for text in texts if len(text) > 1 and text.isascii() and text.isalpha()))


def special_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a special token; raises KeyError where the tokenizer lacks it."""
    number: int | None = tokenizer.token_to_id(token)
    if number is None:
        raise KeyError(f"The tokenizer has no {token}: it was not made by this package")
    return number


def _texts(documents: Iterable[Document]) -> Iterator[str]:
    for document in documents:
        yield document.context + document.learnt
        for turn in document.turns:
            yield f"{turn.role}\n"
            yield turn.content
