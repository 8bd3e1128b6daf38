"""A tokenizer whose tokens are characters, and a chat template that wants turns to alternate."""

from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

ALTERNATE = (
    "{% for m in messages %}{% if not loop.first and m.role == loop.previtem.role %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{{ m.role[0] }}:{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}a:{% endif %}"
)
_LAST = 0x250


def character_tokenizer(chat_template: str | None = ALTERNATE) -> PreTrainedTokenizerFast:
    """Token id = code point, for Latin letters."""
    vocabulary = {chr(code): code for code in range(_LAST)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.decoder = decoders.Fuse()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    wrapped.chat_template = chat_template
    return wrapped
