"""Tokens that an adapter was trained with, and that its base does not have, are told of."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.registry.peft_folders import write_adapter, write_base
from parfocal.registry import (
    BaseContract,
    FolderRegistry,
    Publication,
    describe_base,
    locate_base,
)
from parfocal.registry.remote import RemoteRegistry

SETTINGS = "tokenizer_config.json"
Warnings = Callable[[], tuple[str, ...]]


@pytest.fixture
def base_folder(tmp_path: Path) -> Path:
    return write_base(tmp_path / "small-base")


@pytest.fixture
def base(base_folder: Path) -> BaseContract:
    return describe_base(locate_base(str(base_folder), weights=False))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter")


@pytest.fixture
def warnings(registry: FolderRegistry, folder: Path, base: BaseContract) -> Warnings:
    return lambda: registry.publish("a", folder, Publication(base)).manifest.warnings


def test_the_bases_own_tokenizer_is_not_worth_a_word(
    folder: Path, base_folder: Path, warnings: Warnings
) -> None:
    """As trl's trainer leaves it beside every adapter."""
    for name in ("tokenizer.json", SETTINGS, "chat_template.jinja"):
        shutil.copy(base_folder / name, folder / name)
    assert warnings() == ()


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({"extra_special_tokens": ["<|mytok|>"]}, "'<|mytok|>'"),
        ({"extra_special_tokens": {"image_token": "<image>"}}, "'<image>'"),
        ({"additional_special_tokens": [{"content": "<tool>"}, "<a>"]}, "'<tool>', '<a>'"),
    ],
)
def test_added_tokens_are_told_of(
    folder: Path, warnings: Warnings, settings: dict[str, object], shown: str
) -> None:
    unlimited = {"model_max_length": 1000000000000000019884624838656}
    (folder / SETTINGS).write_text(json.dumps({**unlimited, **settings}))
    [warning] = warnings()
    assert f"adds tokens ({shown})" in warning


@pytest.mark.parametrize(
    ("added", "shown"),
    [
        ({"<|mine|>": 491}, "'<|mine|>'"),
        ({"<a>": 7, "<b>": 8, "<c>": 9, "<d>": 10}, "'<a>', '<b>', '<c>', …"),
    ],
)
def test_tokens_in_the_older_file_are_told_of(
    folder: Path, warnings: Warnings, added: dict[str, int], shown: str
) -> None:
    (folder / SETTINGS).write_text("{}")
    (folder / "added_tokens.json").write_text(json.dumps(added))
    [warning] = warnings()
    assert f"added_tokens.json beside the adapter adds tokens ({shown})" in warning


@pytest.mark.parametrize("settings", [{}, {"extra_special_tokens": []}, {"extra_special_tokens": None}, []])
def test_settings_that_add_nothing_are_not_worth_a_word(
    folder: Path, warnings: Warnings, settings: object
) -> None:
    (folder / SETTINGS).write_text(json.dumps(settings))
    assert warnings() == ()


def test_another_tokenizer_is_told_of(folder: Path, warnings: Warnings) -> None:
    model = {"type": "BPE", "vocab": {"<|mytok|>": 0}}
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0", "model": model}))
    [warning] = warnings()
    assert "not that of the base" in warning


@pytest.mark.parametrize(("name", "data"), [(SETTINGS, b"{"), ("tokenizer.json", b"[]")])
def test_what_cannot_be_read_keeps_nothing_from_being_published(
    folder: Path, warnings: Warnings, name: str, data: bytes
) -> None:
    (folder / name).write_bytes(data)
    [warning] = warnings()
    assert "left unread" in warning


def test_a_remote_registry_is_not_sent_the_tokenizer_but_the_publisher_is_told(
    remote: RemoteRegistry, folder: Path, base: BaseContract, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / SETTINGS).write_text(json.dumps({"extra_special_tokens": ["<|mytok|>"]}))
    with caplog.at_level(logging.WARNING):
        version = remote.publish("a", folder, Publication(base))
    assert version.manifest.warnings == ()
    assert "adds tokens ('<|mytok|>')" in caplog.text
