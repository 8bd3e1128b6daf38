"""Chat templates of every manner that is met in the field, and tokenizers to go with them.

The oracle of every one is transformers' `apply_chat_template`.
"""

from collections.abc import Callable

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SPECIALS = ("<s>", "</s>", "<|im_start|>", "<|im_end|>", "[INST]", "[/INST]", "<\uff5cUser\uff5c>")
ORDINARY = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "<|note|>")

TEMPLATES = {
    "chatml": (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "headers_and_a_date": (
        "{{- bos_token }}{%- if not date_string is defined %}{%- if strftime_now is defined %}"
        "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}"
        "{%- endif %}{%- endif %}{%- if messages[0]['role'] == 'system' %}"
        "{%- set system_message = messages[0]['content'] | trim %}{%- set messages = messages[1:] %}"
        "{%- else %}{%- set system_message = '' %}{%- endif %}"
        "{{- '<|im_start|>system\n\nToday: ' + date_string + '\n\n' + system_message + '<|im_end|>' }}"
        "{%- for message in messages %}{{- '<|im_start|>' + message['role'] + '\n\n' }}"
        "{{- message['content'] | trim }}{{- '<|im_end|>' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n\n' }}{%- endif %}"
    ),
    "instructions_in_brackets": (
        "{{ bos_token }}{% for message in messages %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate user/assistant/...') }}{% endif %}"
        "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
        "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
        "{% else %}{{ raise_exception('Only user and assistant are supported!') }}{% endif %}{% endfor %}"
    ),
    "turns_of_the_model": (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
        "{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}"
        "{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}"
        "{% set role = message['role'] %}{% endif %}"
        "{{ '<|im_start|>' + role + '\n' + message['content'] | trim + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>model\n' }}{% endif %}"
    ),
    "history_without_thoughts": (
        "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}"
        "{% set ns.last = loop.index0 %}{% endif %}{% endfor %}{% for m in messages %}{% set c = m.content %}"
        "{% if m.role == 'assistant' and '</think>' in c and loop.index0 < ns.last %}"
        "{% set c = c.split('</think>')[-1].lstrip('\n') %}{% endif %}"
        "{{ '<|im_start|>' + m.role + '\n' + c + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "thoughts_taken_apart": (
        "{%- set ns = namespace(multi_step_tool=true, last=messages|length - 1) %}"
        "{%- for message in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}"
        "{%- if ns.multi_step_tool and message.role == 'user' and not (message.content.startswith("
        "'<tool_response>') and message.content.endswith('</tool_response>')) %}"
        "{%- set ns.multi_step_tool = false %}{%- set ns.last = index %}{%- endif %}{%- endfor %}"
        "{%- for message in messages %}{%- set content = message.content %}"
        "{%- if message.role == 'assistant' %}{%- set reasoning = '' %}"
        "{%- if message.reasoning_content is string %}{%- set reasoning = message.reasoning_content %}"
        "{%- elif '</think>' in content %}"
        "{%- set reasoning = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}"
        "{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}"
        "{%- if loop.index0 > ns.last and (loop.last or reasoning) %}"
        "{{- '<|im_start|>assistant\n<think>\n' + reasoning.strip('\n') + '\n</think>\n\n' }}"
        "{{- content.lstrip('\n') }}"
        "{%- else %}{{- '<|im_start|>assistant\n' + content }}{%- endif %}{{- '<|im_end|>\n' }}"
        "{%- else %}{{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}{%- endif %}"
        "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
        "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}"
        "{%- endif %}{%- endif %}"
    ),
    "users_as_one_sign": (
        "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}"
        "{% set ns = namespace(is_first=false, system_prompt='') %}{%- for message in messages %}"
        "{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}"
        "{%- endfor %}{{ bos_token }}{{ ns.system_prompt }}{%- for message in messages %}"
        "{%- if message['role'] == 'user' %}{{ '<\uff5cUser\uff5c>' + message['content'] }}{%- endif %}"
        "{%- if message['role'] == 'assistant' %}{% set content = message['content'] %}"
        "{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}"
        "{{ '<|im_start|>' + content + '</s>' }}{%- endif %}{%- endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|><think>\n' }}{% endif %}"
    ),
    "generation_marks": (
        "{%- for m in messages %}{%- if m.role == 'assistant' %}<|im_start|>assistant\n{% generation %}"
        "{{ m.content }}<|im_end|>{% endgeneration %}{{ '\n' }}{%- else %}"
        "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
        "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{%- endif %}"
    ),
    "tools": (
        "{%- if tools %}{{- '<|im_start|>system\n# Tools\n' }}{%- for tool in tools %}"
        "{{- tool | tojson }}{{- '\n' }}{%- endfor %}{{- '<|im_end|>\n' }}{%- endif %}"
        "{%- for message in messages %}{%- if message.role == 'tool' %}"
        "{{- '<|im_start|>user\n<tool_response>\n' + message.content + '\n</tool_response><|im_end|>\n' }}"
        "{%- else %}{{- '<|im_start|>' + message.role }}"
        "{%- if message.content %}{{- '\n' + message.content }}"
        "{%- endif %}{%- for call in message.tool_calls or [] %}{%- if call.function %}"
        '{%- set call = call.function %}{%- endif %}{{- \'\n<tool_call>\n{"name": "\' + call.name }}'
        "{{- '\", \"arguments\": ' }}{{- call.arguments | tojson }}{{- '}\n</tool_call>' }}{%- endfor %}"
        "{{- '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
    ),
    "pieces_joined_again": (
        "{%- macro strip_notes(text) %}{%- set ns = namespace(result='') %}"
        "{%- for part in text.split('</think>') %}{%- if '<think>' in part %}"
        "{%- set ns.result = ns.result + part.split('<think>')[0] %}{%- else %}"
        "{%- set ns.result = ns.result + part %}{%- endif %}{%- endfor %}"
        "{{- ns.result | trim }}{%- endmacro %}"
        "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\n' }}"
        "{{- strip_notes(m.content) }}{{- '<|im_end|>\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
    ),
    "loops_that_break": (
        "{{ bos_token }}{% for m in messages %}{% if loop.index > 6 %}{% break %}{% endif %}"
        "{% if m.role == 'system' %}{{ m.content.upper() }}\n{% continue %}{% endif %}"
        "{{ '%s: %s' | format(m.role | capitalize, m.content | replace('\t', ' ')) }}"
        "{{ eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}Assistant:{% endif %}"
    ),
    "letters_of_the_role": (
        "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}"
    ),
}


def byte_level() -> Tokenizer:
    """One token for each byte, and a few merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("<", "|"), ("|", ">"), ("Ċ", "Ċ")]
    vocabulary = {sign: place for place, sign in enumerate([*alphabet, *("".join(pair) for pair in merges)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def metaspace_first() -> Tokenizer:
    """Spaces as ▁, one put before the text's first word only."""
    tokenizer = Tokenizer(_characters())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")]
    )
    return tokenizer


def prepending_normaliser() -> Tokenizer:
    """Spaces as ▁, one put before every piece between added tokens, as in Llama 2."""
    tokenizer = Tokenizer(_characters())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "byte_level": byte_level,
    "metaspace_first": metaspace_first,
    "prepending_normaliser": prepending_normaliser,
}


def tokenizer_with(template: str, kind: str = "byte_level", **flags: bool) -> PreTrainedTokenizerFast:
    """A tokenizer with a template; `flags`, such as `lstrip`, are those of its special tokens."""
    return _tokenizer(template, kind, dict(zip(SPECIALS, SPECIALS, strict=True)), flags)


def disguised_twin(template: str, kind: str = "byte_level", **flags: bool) -> PreTrainedTokenizerFast:
    """The same, but its special tokens have other names, in the template too: messages hold plain text.

    It says what a tokenizer must make of a message that holds the text of a special token.
    """
    names = {text: f"\x01{place}\x01" for place, text in enumerate(SPECIALS)}
    for text, name in names.items():
        template = template.replace(text, name)
    return _tokenizer(template, kind, names, flags)


def _tokenizer(
    template: str, kind: str, names: dict[str, str], flags: dict[str, bool]
) -> PreTrainedTokenizerFast:
    inner = TOKENIZERS[kind]()
    inner.add_special_tokens(
        [AddedToken(name, special=True, normalized=False, **flags) for name in names.values()]
    )
    inner.add_tokens([AddedToken(text, normalized=False) for text in ORDINARY])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=names["<s>"], eos_token=names["</s>"])
    wrapped.chat_template = template
    return wrapped


def _characters() -> models.BPE:
    letters = [chr(code) for code in range(33, 127)] + ["▁"]
    tokens = [f"<0x{byte:02X}>" for byte in range(256)] + letters + ["▁t", "he", "▁▁"]
    vocabulary = {token: place for place, token in enumerate(tokens)}
    return models.BPE(vocab=vocabulary, merges=[("▁", "t"), ("h", "e"), ("▁", "▁")], byte_fallback=True)
