"""What a base's tokenizer files mean: vocabulary, merges, added tokens, and how text is cut and framed.

One value for every spelling that gives the same ids: merges as text or as pairs, defaults written out or not,
added tokens in any order, fields that only move offsets. Follows `tokenizers` 0.23 and transformers 5.
"""

from collections.abc import Callable, Mapping, Sequence

from parfocal.registry.errors import BaseUnreachable
from parfocal.registry.values import JSON

# These classes of transformers build the pipeline themselves, from the vocabulary and the merges alone, with
# this for `add_prefix_space` where the settings are silent (None: the class does not ask).
_OWN_PIPELINES: dict[str, bool | None] = {
    "Qwen2Tokenizer": False,
    "GemmaTokenizer": None,
    "LlamaTokenizer": True,
}
# What AutoTokenizer makes of a base's kind: always that class, whatever the settings declare, or by default.
_ALWAYS = {"qwen2": "Qwen2Tokenizer", "mistral": "TokenizersBackend", "phi3": "TokenizersBackend"}
KINDS_WITH_A_READER = tuple(_ALWAYS)
_BY_DEFAULT = {
    "qwen3": "Qwen2Tokenizer",
    **dict.fromkeys(("gemma", "gemma2", "gemma3", "gemma3_text"), "GemmaTokenizer"),
}
# Around a text stand one or two tokens; a template that repeats the text would double them at every step.
_MAX_FRAME = 1000
_ADDED_TOKEN_FLAGS = {"single_word": False, "lstrip": False, "rstrip": False}
_MODEL_DEFAULTS: dict[str, JSON] = {
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": False,
}
_SEQUENCES = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "decoder": "decoders"}
_STEP_DEFAULTS: dict[str, dict[str, JSON]] = {
    "ByteLevel": {"add_prefix_space": True, "use_regex": True},
    "Metaspace": {"replacement": "▁", "prepend_scheme": "always", "split": True},
    "Split": {"invert": False},
    "Punctuation": {"behavior": "Isolated"},
}


def tokenizer_meaning(
    tokenizer: Mapping[str, JSON], settings: Mapping[str, JSON], kind: str | None = None
) -> dict[str, JSON]:
    """Describes `tokenizer.json` and, beside it, `tokenizer_config.json` (`settings`, may be empty).

    `kind` is the base's `model_type`, which decides with the settings which class reads the file. Raises
    BaseUnreachable for a post-processor that no tokenizer has.
    """
    model = _object(tokenizer.get("model"))
    meaning: dict[str, JSON] = {
        "vocabulary": model.get("vocab"),
        "merges": _merges(model.get("merges")),
        "added_tokens": _added_tokens(tokenizer.get("added_tokens")),
        "frame": _frame(tokenizer.get("post_processor"), settings),
    }
    reader = tokenizer_class(tokenizer, settings, kind)
    if reader in _OWN_PIPELINES:
        return {**meaning, "class": reader, "add_prefix_space": _prefixed(reader, settings)}
    steps = {name: _steps(tokenizer.get(name), inner) for name, inner in _SEQUENCES.items()}
    return {**meaning, **steps, "decoder": _decoding(steps["decoder"]), "model": _model(model)}


def tokenizer_class(tokenizer: Mapping[str, JSON], settings: Mapping[str, JSON], kind: str | None) -> str:
    """Names the class that AutoTokenizer of transformers 5.23 reads a base's `tokenizer.json` with."""
    if kind in _ALWAYS:
        return _ALWAYS[kind]
    declared = settings.get("tokenizer_class")
    if not isinstance(declared, str):
        return _BY_DEFAULT.get(kind or "", "TokenizersBackend")
    name = declared.removesuffix("Fast")
    # A byte-level file is read as it stands, though Llama 3 and its kin name this class.
    kinds = [step.get("type") for step in _steps(tokenizer.get("pre_tokenizer"), "pretokenizers")]
    if name == "PreTrainedTokenizer" or (name == "LlamaTokenizer" and "ByteLevel" in kinds):
        return "TokenizersBackend"
    return name


def _prefixed(reader: str, settings: Mapping[str, JSON]) -> bool | None:
    written, default = settings.get("add_prefix_space"), _OWN_PIPELINES[reader]
    return default if default is None or written is None else bool(written)


def _merges(merges: JSON) -> JSON:
    if not isinstance(merges, list):
        return merges
    return [merge.split(" ", 1) if isinstance(merge, str) else merge for merge in merges]


def _added_tokens(tokens: JSON) -> list[JSON]:
    entries = [_object(token) for token in tokens] if isinstance(tokens, list) else []
    return [_added_token(entry) for entry in sorted(entries, key=_id)]


def _added_token(entry: Mapping[str, JSON]) -> JSON:
    special = bool(entry.get("special", False))
    flags = {name: entry.get(name, default) for name, default in _ADDED_TOKEN_FLAGS.items()}
    normalized = entry.get("normalized", not special)
    return {
        "id": entry.get("id"), "content": entry.get("content"), "special": special, "normalized": normalized,
        **flags,
    }  # fmt: skip


def _id(entry: Mapping[str, JSON]) -> int:
    number = entry.get("id")
    return number if isinstance(number, int) else -1


def _model(model: Mapping[str, JSON]) -> dict[str, JSON]:
    rest = {name: value for name, value in model.items() if name not in ("vocab", "merges")}
    written = {**_MODEL_DEFAULTS, **{name: value for name, value in rest.items() if value != ""}}
    kind = written.setdefault("type", "BPE" if "merges" in model else None)
    if kind != "BPE":
        return {name: value for name, value in rest.items() if value is not None}
    return {**written, "dropout": written["dropout"] or None}


def _steps(value: JSON, inner: str) -> list[dict[str, JSON]]:
    """Lays a pipeline out flat: a sequence of one step is that step, and an empty one is none."""
    step = _object(value)
    if not step:
        return []
    if step.get("type") == "Sequence":
        parts = step.get(inner)
        return [each for part in (parts if isinstance(parts, list) else []) for each in _steps(part, inner)]
    return [_step(step)]


def _step(step: Mapping[str, JSON]) -> dict[str, JSON]:
    kind = str(step.get("type"))
    written = {name: value for name, value in step.items() if name not in ("trim_offsets", "str_rep")}
    if kind == "Metaspace":
        written.pop("add_prefix_space", None)  # repeats what `prepend_scheme` says
    return {**_STEP_DEFAULTS.get(kind, {}), **written}


def _decoding(steps: Sequence[JSON]) -> list[JSON]:
    """Leaves out what byte-level decoding ignores."""
    return [{"type": "ByteLevel"} if _object(step).get("type") == "ByteLevel" else step for step in steps]


def _frame(processor: JSON, settings: Mapping[str, JSON]) -> list[JSON]:
    """Says what is put around one text: special tokens before and after `None`, which stands for the text."""
    if {"add_bos_token", "add_eos_token"} & settings.keys():
        before = _flagged("bos_token", settings)
        return [*before, None, *_flagged("eos_token", settings)]
    frame: list[JSON] = [None]
    for step in _steps(processor, "processors"):
        frame = _framed(step, frame)
        if len(frame) > _MAX_FRAME:
            raise BaseUnreachable(
                f"tokenizer.json puts over {_MAX_FRAME} tokens around a text; download the base again",
                field="base",
            )
    return frame


def _flagged(token: str, settings: Mapping[str, JSON]) -> list[JSON]:
    written = settings.get(token)
    content = written.get("content") if isinstance(written, Mapping) else written
    return [content] if settings.get(f"add_{token}") is True and content is not None else []


def _framed(step: Mapping[str, JSON], frame: list[JSON]) -> list[JSON]:
    kind = step.get("type")
    framers: dict[JSON, Callable[[Mapping[str, JSON]], list[JSON]]] = {
        "TemplateProcessing": _template,
        "BertProcessing": _pair_of_tokens,
        "RobertaProcessing": _pair_of_tokens,
    }
    if kind not in framers:
        return frame
    return [each for part in framers[kind](step) for each in (frame if part is None else [part])]


def _template(step: Mapping[str, JSON]) -> list[JSON]:
    pieces = step.get("single")
    found: list[JSON] = []
    for piece in pieces if isinstance(pieces, list) else []:
        special = _object(_object(piece).get("SpecialToken"))
        found.append(special.get("id") if special else None)
    return found


def _pair_of_tokens(step: Mapping[str, JSON]) -> list[JSON]:
    first, last = step.get("cls"), step.get("sep")
    texts = [token[0] if isinstance(token, list) and token else None for token in (first, last)]
    return [texts[0], None, texts[1]]


def _object(value: JSON) -> Mapping[str, JSON]:
    return value if isinstance(value, Mapping) else {}
