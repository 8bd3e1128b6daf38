"""Bases: where their files are, and what identifies one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.registry.peft_folders import write_base
from parfocal.registry import BaseContract, describe_base, locate_base
from parfocal.registry.bases.files import locate_shared_base
from parfocal.registry.bases.shapes import shape_of
from parfocal.registry.errors import BaseUnreachable
from parfocal.registry.values import BaseShape
from parfocal.registry.values.canonical_json import JSON

Change = Callable[[Path], object]


def describe(folder: Path) -> BaseContract:
    return describe_base(locate_base(str(folder), weights=False))


def edited(folder: Path, name: str, **changes: object) -> None:
    fields = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**fields, **changes}, indent=4))


def test_a_folder_is_called_by_its_name(tmp_path: Path) -> None:
    base = describe(write_base(tmp_path / "small-base"))
    assert (base.id, base.revision, base.verified) == ("small-base", None, True)
    assert base.shape == BaseShape(
        layers=2, hidden=16, intermediate=32, heads=4, kv_heads=2, head_dim=4, fused=False
    )


def test_tiny_is_found_in_the_package() -> None:
    files = locate_base("tiny", weights=True)
    assert files.id == "tiny"
    assert (files.folder / "config.json").is_file()


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: edited(folder, "config.json", torch_dtype="float32", transformers_version="9"),
        lambda folder: edited(folder, "config.json", _name_or_path="/home/x", use_cache=False),
        lambda folder: edited(folder, "config.json", eos_token_id=[2, 5], pad_token_id=0),
        lambda folder: edited(folder, "tokenizer.json", truncation={"max_length": 8}, padding=None),
        lambda folder: edited(folder, "tokenizer_config.json", chat_template="not the one that counts"),
    ],
)
def test_saving_a_base_again_does_not_change_its_identity(tmp_path: Path, change: Change) -> None:
    folder = write_base(tmp_path / "small-base")
    before = describe(folder)
    change(folder)
    assert describe(folder) == before
    assert before.differences(describe(folder)) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda folder: edited(folder, "config.json", rope_theta=5.0), "base.config_digest"),
        (lambda folder: edited(folder, "tokenizer.json", added_tokens=[{"id": 1}]), "base.tokenizer_digest"),
        (lambda folder: (folder / "chat_template.jinja").write_text("x"), "base.chat_template_digest"),
        (lambda folder: (folder / "chat_template.jinja").unlink(), "base.chat_template_digest"),
    ],
)
def test_what_changes_the_output_is_a_named_difference(tmp_path: Path, change: Change, field: str) -> None:
    folder = write_base(tmp_path / "small-base")
    before = describe(folder)
    change(folder)
    assert [difference.field for difference in before.differences(describe(folder))] == [field]


def test_the_template_inside_the_tokenizer_configuration_counts_as_the_file_does(tmp_path: Path) -> None:
    with_file, inside = write_base(tmp_path / "a" / "base"), write_base(tmp_path / "b" / "base")
    template = (inside / "chat_template.jinja").read_text()
    (inside / "chat_template.jinja").unlink()
    edited(
        inside,
        "tokenizer_config.json",
        chat_template=[{"name": "tool"}, {"name": "default", "template": template}],
    )
    assert describe(with_file) == describe(inside)


def test_a_base_without_tokenizer_json_is_known_by_its_other_tokenizer_files(tmp_path: Path) -> None:
    folder = write_base(tmp_path / "small-base")
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text("{}")
    before = describe(folder)
    (folder / "merges.txt").write_text("a b")
    assert [d.field for d in before.differences(describe(folder))] == ["base.tokenizer_digest"]


@pytest.mark.parametrize("reference", ["/no/such/folder", "", "a/b/c", "org/none", "bad id", "../x", "-x"])
def test_a_base_that_cannot_be_reached_tells_the_way_on(reference: str) -> None:
    with pytest.raises(BaseUnreachable, match="--base") as refused:
        locate_base(reference, weights=False)
    assert refused.value.field == "base"


def test_a_folder_without_a_configuration_is_no_base(tmp_path: Path) -> None:
    with pytest.raises(BaseUnreachable, match=r"no config\.json"):
        locate_base(str(tmp_path), weights=False)


def test_a_broken_configuration_is_no_base(tmp_path: Path) -> None:
    folder = write_base(tmp_path / "small-base")
    (folder / "config.json").write_text("{")
    with pytest.raises(BaseUnreachable, match="is not JSON: Expecting"):
        describe(folder)


@pytest.mark.parametrize("limit", [1000000000000000019884624838656, 1e30, 2**63])
def test_a_tokenizer_without_a_limit_is_described(tmp_path: Path, limit: float) -> None:
    folder = write_base(tmp_path / "small-base")
    before = describe(folder)
    (folder / "chat_template.jinja").unlink()
    edited(folder, "tokenizer_config.json", model_max_length=limit)
    assert [d.field for d in before.differences(describe(folder))] == ["base.chat_template_digest"]


def test_numbers_that_only_other_programs_write_are_described(tmp_path: Path) -> None:
    folder = write_base(tmp_path / "small-base")
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config[:-1] + ', "limit": [0.0, Infinity], "id": ' + "9" * 30 + "}")
    assert describe(folder).verified


def test_a_reference_from_a_stranger_never_opens_a_folder(tmp_path: Path) -> None:
    folder = write_base(tmp_path / "small-base")
    with pytest.raises(BaseUnreachable):
        locate_shared_base(str(folder), weights=False)


def test_the_same_base_under_another_name_only_warns(tmp_path: Path) -> None:
    mine, other = describe(write_base(tmp_path / "mine")), describe(write_base(tmp_path / "other"))
    assert mine.differences(other) == []
    assert [caution.field for caution in mine.cautions(other)] == ["base.id"]


def test_a_name_counts_where_nothing_else_is_known(tmp_path: Path) -> None:
    base = describe(write_base(tmp_path / "small-base"))
    assert [d.field for d in BaseContract.unverified("other").differences(base)] == ["base.id"]


def test_an_organisation_in_front_of_the_name_is_no_difference(tmp_path: Path) -> None:
    base = describe(write_base(tmp_path / "small-base"))
    assert BaseContract.unverified("org/Small-Base").differences(base) == []


@pytest.mark.parametrize(
    "change", [{"model_type": "mamba"}, {"hidden_size": "wide"}, {"num_hidden_layers": [1]}]
)
def test_an_architecture_that_is_no_plain_decoder_has_no_shape(
    tmp_path: Path, change: dict[str, JSON]
) -> None:
    folder = write_base(tmp_path / "small-base")
    assert shape_of({**json.loads((folder / "config.json").read_text()), **change}) is None


def test_the_text_part_of_a_larger_configuration_gives_the_shape() -> None:
    text = {
        "num_hidden_layers": 3,
        "hidden_size": 8,
        "intermediate_size": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 5,
    }
    shape = shape_of({"model_type": "gemma3", "text_config": text})
    assert shape == BaseShape(3, 8, 4, 2, 2, 5, fused=False, prefix="model.language_model.")
