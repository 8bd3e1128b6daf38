"""Model cards: whole for people and machines, whatever a manifest holds, and never endless."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from fakes.registry.hostile import OBEYED, hostile_manifest
from parfocal.registry import Evaluation, FolderRegistry, Manifest, Provenance, Publication
from parfocal.registry.cards import card


@pytest.fixture
def manifest(registry: FolderRegistry, adapter: Callable[..., Path], publication: Publication) -> Manifest:
    return registry.publish("team/x", adapter(), publication).manifest


def lines_of(manifest: Manifest) -> list[str]:
    return card(manifest).decode().splitlines()


def test_a_card_tells_base_scores_origin_and_hyper_parameters(manifest: Manifest) -> None:
    metrics = {"adapter_loss": 0.4, "base_loss": 0.9, "f1": 0.8, "f1_low": 0.7, "f1_high": 0.9}
    lines = lines_of(
        replace(
            manifest,
            evaluation=Evaluation("sha256:rows", 30, metrics),
            provenance=Provenance(
                "sha256:data", {"rank": 4, "targets": ["q", "v"], "none": None}, 7, {"trl": "1"}
            ),
            tags=("language:de", "lora"),
        )
    )
    assert "| metric | adapter | base |" in lines
    assert "| loss | 0.4 | 0.9 |" in lines
    assert "| f1 | 0.8 (0.7 to 0.9) |  |" in lines
    assert "| rank | 4 |" in lines and '| targets | \\["q", "v"\\] |' in lines
    assert not any("none" in line for line in lines)
    assert "- data: sha256:data" in lines and "- tools: trl 1" in lines
    data = ModelCard("\n".join(lines)).data
    assert data.get("tags") == ["lora", "parfocal", "language:de"]
    assert data.get("base_model") == "small-base"


def test_without_scores_of_the_base_there_is_no_column_for_it(manifest: Manifest) -> None:
    lines = lines_of(replace(manifest, evaluation=Evaluation("sha256:rows", 30, {"f1": 0.8})))
    assert "| metric | value |" in lines and "| f1 | 0.8 |" in lines


def test_no_text_of_a_publisher_is_markdown_html_or_an_order_to_a_terminal(manifest: Manifest) -> None:
    for odd in ("<script>x</script>", "a|b", "[x](javascript:y)", "`rm`", "**b**", "$x$"):
        named = replace(
            manifest,
            evaluation=Evaluation("sha256:rows", 1, {odd: 0.5}),
            provenance=Provenance("sha256:data", {odd: odd}, tools={odd: "1"}, parent=odd),
            warnings=(odd,),
        )
        body = card(named).decode().partition("\n---\n")[2]
        assert odd not in body
        assert odd in body.replace("\\", "")
        rows = [line for line in body.splitlines() if line.startswith("|")]
        assert {line.replace("\\|", "").count("|") for line in rows} == {3}
    text = card(hostile_manifest(manifest)).decode()
    assert not [each for each in OBEYED if each in text]
    assert ModelCard(text).data.get("base_model") == hostile_manifest(manifest).contract.base.id


def test_a_card_of_very_much_is_cut_with_counts(manifest: Manifest) -> None:
    huge = replace(
        manifest,
        evaluation=Evaluation("sha256:rows", 1, {f"metric-{at}": 0.5 for at in range(1000)}),
        provenance=Provenance(
            "sha256:data",
            {f"key-{at}": "x" * 600 for at in range(101)},
            tools={f"tool-{at}": "1" for at in range(60)},
        ),
        warnings=tuple(f"warning {at}" for at in range(120)),
    )
    lines = lines_of(huge)
    assert "And 800 more of 1000." in lines
    assert "And 1 more of 101." in lines
    assert "And 20 more of 120." in lines
    assert any(line.endswith(", and 10 more") for line in lines)
    assert f"| key-0 | {'x' * 500}… (600 characters) |" in lines
    assert len(card(huge)) < 100_000
