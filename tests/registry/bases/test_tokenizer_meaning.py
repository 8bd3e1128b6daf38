"""What tokenizer files mean: transformers and tokenizers are the oracle, re-saving changes nothing."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoTokenizer,
    GemmaTokenizer,
    LlamaTokenizer,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
)

from fakes.registry.peft_folders import write_base
from parfocal.registry import describe_base, locate_base
from parfocal.registry.bases import is_tokenizer_of
from parfocal.registry.bases.decoder_classes import CLASS_DEFAULTS
from parfocal.registry.bases.tokenizer_meaning import tokenizer_class, tokenizer_meaning
from parfocal.registry.errors import BaseUnreachable

Json = dict[str, Any]
TEXT = "ab a  hi\n"
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
PIECES = [*(f"<0x{i:02X}>" for i in range(256)), "▁", *"abhi", "▁a", "ab", "▁ab"]
MERGES: Any = [("▁", "a"), ("a", "b"), ("▁", "ab")]


def byte_level() -> PreTrainedTokenizerFast:
    vocabulary = {piece: number for number, piece in enumerate([*BYTES, "ab", "Ġa", "<s>", "</s>"])}
    merges: Any = [("a", "b"), ("Ġ", "a")]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def qwen() -> Any:
    vocabulary = {piece: number for number, piece in enumerate([*BYTES, "ab", "Ġa"])}
    merges: Any = [("a", "b"), ("Ġ", "a")]
    return Qwen2Tokenizer(vocab=vocabulary, merges=merges)


def llama() -> Any:
    pieces = ["<unk>", "<s>", "</s>", *PIECES]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    return LlamaTokenizer(vocab=vocabulary, merges=MERGES, add_bos_token=True)


def gemma() -> Any:
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *PIECES]
    return GemmaTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=MERGES)


KINDS = {"bytes": byte_level, "qwen": qwen, "llama": llama, "gemma": gemma}


def files(folder: Path) -> tuple[Json, Json]:
    names = ("tokenizer.json", "tokenizer_config.json")
    tokenizer, settings = (json.loads((folder / name).read_text()) for name in names)
    return tokenizer, settings


def spelt_as_before(tokenizer: Json, settings: Json) -> None:
    """Writes what release 4 wrote: merges as text, defaults left out, other offsets, the old class names."""
    tokenizer["model"]["merges"] = [" ".join(merge) for merge in tokenizer["model"]["merges"]]
    for name in ("ignore_merges", "fuse_unk"):
        if tokenizer["model"].get(name) is False:
            del tokenizer["model"][name]
    tokenizer["added_tokens"].reverse()
    tokenizer["truncation"] = {"max_length": 8, "strategy": "LongestFirst", "direction": "Right", "stride": 0}
    for step in _steps({key: value for key, value in tokenizer.items() if key != "model"}):
        if step.get("type") == "ByteLevel":
            step["trim_offsets"] = not step["trim_offsets"]
    if settings["tokenizer_class"] != "TokenizersBackend":
        settings["tokenizer_class"] += "Fast"
    settings["model_max_length"] = 1000000000000000019884624838656


def _steps(value: Any) -> list[Json]:
    if isinstance(value, dict):
        return [value, *(step for item in value.values() for step in _steps(item))]
    return [step for item in value for step in _steps(item)] if isinstance(value, list) else []


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_that_is_saved_again_means_the_same_and_gives_the_same_ids(
    kind: str, tmp_path: Path
) -> None:
    KINDS[kind]().save_pretrained(tmp_path)
    tokenizer, settings = files(tmp_path)
    spelt_as_before(tokenizer, settings)
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    before = AutoTokenizer.from_pretrained(tmp_path)
    before.save_pretrained(tmp_path / "again")
    again = AutoTokenizer.from_pretrained(tmp_path / "again")

    assert tokenizer_meaning(*files(tmp_path / "again")) == tokenizer_meaning(tokenizer, settings)
    assert again(TEXT)["input_ids"] == before(TEXT)["input_ids"]


@pytest.mark.parametrize("kind", [*sorted(CLASS_DEFAULTS), "gemma3", None])
@pytest.mark.parametrize(
    "declared",
    [
        None,
        "TokenizersBackend",
        "PreTrainedTokenizerFast",
        "LlamaTokenizerFast",
        "Qwen2Tokenizer",
        "GemmaTokenizer",
    ],
)
@pytest.mark.parametrize("written", ["bytes", "llama"])
def test_the_reader_is_the_one_that_transformers_chooses(
    kind: str | None, declared: str | None, written: str, tmp_path: Path
) -> None:
    KINDS[written]().save_pretrained(tmp_path)
    tokenizer, settings = files(tmp_path)
    settings = {**settings, "tokenizer_class": declared}
    if declared is None:
        del settings["tokenizer_class"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind} if kind else {}))

    chosen = type(AutoTokenizer.from_pretrained(tmp_path)).__name__

    assert tokenizer_class(tokenizer, settings, kind) == chosen


@pytest.mark.parametrize(
    "change",
    [
        {"pre_tokenizer": {"type": "Metaspace", "replacement": "_"}},
        {
            "pre_tokenizer": {
                "type": "Metaspace",
                "replacement": "_",
                "str_rep": "_",
                "add_prefix_space": True,
            }
        },
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": []}},
        {
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [{"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}],
            }
        },
        {"pre_tokenizer": {"type": "Punctuation"}},
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]}},
        {"post_processor": None},
        {"decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}]}},
        {"padding": None, "truncation": None},
    ],
    ids=json.dumps,
)
def test_what_the_library_writes_of_a_file_means_what_the_file_means(change: Json, tmp_path: Path) -> None:
    byte_level().save_pretrained(tmp_path)
    tokenizer = {**files(tmp_path)[0], **change}
    rewritten = json.loads(Tokenizer.from_str(json.dumps(tokenizer)).to_str())

    assert tokenizer_meaning(rewritten, {}) == tokenizer_meaning(tokenizer, {})


@pytest.mark.parametrize(
    "change",
    [
        lambda tokenizer, settings: tokenizer["model"]["merges"].reverse(),
        lambda tokenizer, settings: tokenizer["model"]["vocab"].update({"new": 999}),
        lambda tokenizer, settings: tokenizer["added_tokens"][0].update(lstrip=True),
        lambda tokenizer, settings: tokenizer["added_tokens"].pop(),
        lambda tokenizer, settings: tokenizer["pre_tokenizer"].update(add_prefix_space=True),
        lambda tokenizer, settings: tokenizer.update(normalizer={"type": "NFKC"}),
        lambda tokenizer, settings: tokenizer.update(post_processor=None),
        lambda tokenizer, settings: settings.update(add_bos_token=False),
        lambda tokenizer, settings: settings.update(add_eos_token=True, add_bos_token=True),
    ],
)
def test_what_changes_the_ids_changes_the_meaning(
    change: Callable[[Json, Json], object], tmp_path: Path
) -> None:
    byte_level().save_pretrained(tmp_path)
    tokenizer, settings = files(tmp_path)
    changed, changed_settings = copy.deepcopy(tokenizer), copy.deepcopy(settings)
    change(changed, changed_settings)

    assert tokenizer_meaning(changed, changed_settings) != tokenizer_meaning(tokenizer, settings)


@pytest.mark.parametrize("tokenizer", [{}, {"model": None}, {"added_tokens": [1], "model": {"vocab": []}}])
def test_a_file_that_is_no_tokenizer_is_described_without_a_crash(tokenizer: Json) -> None:
    assert tokenizer_meaning(tokenizer, {"tokenizer_class": 3})["merges"] is None


@pytest.mark.parametrize("kind", ["qwen2", "mistral", "phi3", "llama"])
def test_a_bases_tokenizer_is_known_beside_an_adapter_that_does_not_name_the_bases_kind(
    kind: str, tmp_path: Path
) -> None:
    folder = write_base(tmp_path / "base", model_type=kind)
    llama().save_pretrained(folder)
    base = describe_base(locate_base(str(folder), weights=False))
    llama().save_pretrained(tmp_path / "adapter")
    assert is_tokenizer_of(tmp_path / "adapter", base)

    byte_level().save_pretrained(tmp_path / "adapter")
    assert not is_tokenizer_of(tmp_path / "adapter", base)


def test_a_post_processor_that_doubles_the_text_at_every_step_is_refused() -> None:
    """Forty such steps would make a list of a trillion tokens."""
    twice: Json = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}],
    }
    tokenizer: Json = {"model": {}, "post_processor": {"type": "Sequence", "processors": [twice] * 40}}
    with pytest.raises(BaseUnreachable, match="tokens around a text"):
        tokenizer_meaning(tokenizer, {})
