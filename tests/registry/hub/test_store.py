"""What waits between two commits: kept over crashes, swept when it is old, one process at a time."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.registry.tiny_adapters import CONFIG, WEIGHTS
from parfocal.registry.faces.hub.errors import UploadsMixed
from parfocal.registry.faces.hub.uploading import Announced, Draft, UploadStore
from parfocal.registry.faces.hub.uploading.commit_lines import Part
from parfocal.registry.faces.hub.uploading.drafts import Staged
from parfocal.v1.limits import STAGED_HOURS

NAME = "team/new"
NOW = time.time()  # files have this machine's
DAY_S = 24 * 3600


@pytest.fixture
def store(tmp_path: Path) -> UploadStore:
    return UploadStore(tmp_path / "home", "here")


def _part(store: UploadStore, folder: Path, content: bytes) -> Part:
    path = folder / content.hex()
    path.write_bytes(content)
    return Part(path, len(content), content.hex() * 8, "s")


def _saved(store: UploadStore, content: bytes = b"abcd") -> Draft:
    with store.work_folder() as work:
        part = _part(store, work, content)
        draft = Draft("ana", NOW, files={CONFIG: Staged(part.size, part.sha256, part.sample)})
        store.save(NAME, "key", draft, {CONFIG: part})
    return draft


def test_a_draft_is_read_as_it_was_written(store: UploadStore) -> None:
    draft = replace(_saved(store), lists=("l",), announced={WEIGHTS: Announced(5, "s")}, parent="p")
    store.save(NAME, "key", draft, {})

    assert store.draft(NAME, "key") == draft
    assert store.drafts(NAME) == [draft]
    assert store.size() == 4


def test_a_file_that_is_replaced_does_not_stay(store: UploadStore) -> None:
    _saved(store, b"abcd")
    _saved(store, b"efgh")

    assert store.size() == 4


@pytest.mark.parametrize("found", [b"", b"{}", b"[]", b"\xff", b'{"uploader": 5}'])
def test_a_draft_that_cannot_be_read_is_none(store: UploadStore, tmp_path: Path, found: bytes) -> None:
    _saved(store)
    [path] = (tmp_path / "home").glob("*/repos/*/*/*/draft.json")
    path.write_bytes(found)

    assert store.draft(NAME, "key") is None
    assert store.drafts(NAME) == []


def test_what_waited_too_long_is_swept(tmp_path: Path) -> None:
    now = NOW
    store = UploadStore(tmp_path / "home", "here", lambda: now)
    draft = _saved(store)
    store.create("team/old")
    with store.work_folder() as work:
        store.keep_object(NAME, "0" * 64, _part(store, work, b"x").path)
    for path in (tmp_path / "home").rglob("*"):
        os.utime(path, (NOW, NOW))  # the tests may have begun long before this one
    waits_s = STAGED_HOURS.most * 3600
    for after_s, there in (
        (waits_s - 60, ([draft], 5, True)),
        (waits_s + 60, ([], 0, True)),
        (29 * DAY_S, ([], 0, True)),
        (31 * DAY_S, ([], 0, False)),
    ):
        now = NOW + after_s
        store.sweep()
        assert (store.drafts(NAME), store.size(), store.is_created("team/old")) == there


def test_two_processes_do_not_share_what_waits(tmp_path: Path) -> None:
    first = UploadStore(tmp_path / "home", "here")
    _saved(first)
    second = UploadStore(tmp_path / "home", "here")

    assert second.drafts(NAME) == []
    first.close()
    assert len(UploadStore(tmp_path / "home", "here").drafts(NAME)) == 1


LISTED = {CONFIG: Announced(1, "c"), WEIGHTS: Announced(2, "w")}
TEMPLATE = {"chat_template.jinja": Announced(3, "t")}


def _came(**changes: int) -> dict[str, Staged]:
    return {path: Staged(changes.get("size", it.size), "0" * 64, it.sample) for path, it in LISTED.items()}


def test_lists_that_share_nothing_are_one_upload() -> None:
    draft = Draft("ana").announcing(LISTED, NOW).announcing(TEMPLATE, NOW).adding(_came(), "", NOW)

    assert draft.awaited == ["chat_template.jinja"]


def test_the_same_list_again_changes_nothing() -> None:
    draft = Draft("ana").announcing(LISTED, NOW).adding(_came(), "", NOW)

    assert draft.announcing(LISTED, NOW).files == draft.files


def test_another_list_of_the_same_files_is_another_upload() -> None:
    draft = Draft("ana").announcing(LISTED | TEMPLATE, NOW).adding(_came(), "", NOW)

    fresh = draft.announcing(LISTED, NOW)
    assert (fresh.files, fresh.awaited) == ({}, [CONFIG, WEIGHTS])


def test_where_two_uploads_met_only_files_that_come_together_are_taken() -> None:
    met = Draft("ana").announcing({CONFIG: Announced(1, "other")}, NOW).announcing(LISTED, NOW)
    came = _came()
    weights = {WEIGHTS: came[WEIGHTS]}

    with pytest.raises(UploadsMixed, match="may be of either"):
        met.adding(weights, "", NOW)
    assert met.adding(weights, "", NOW, continues=True).awaited == [CONFIG]
    assert met.adding(came, "", NOW).awaited == []
    assert met.adding(weights, "", NOW + 901).contested is False


def test_a_file_that_comes_again_with_other_bytes_is_of_another_upload() -> None:
    """Its announcement cannot tell: weights of one shape are equally long and begin alike."""
    came = _came()
    other = {WEIGHTS: replace(came[WEIGHTS], sha256="1" * 64)}
    draft = Draft("ana").announcing(LISTED, NOW).adding({WEIGHTS: came[WEIGHTS]}, "", NOW)

    with pytest.raises(UploadsMixed):
        draft.adding(other, "", NOW)
    with pytest.raises(UploadsMixed):
        draft.disputed().adding({CONFIG: came[CONFIG]}, "", NOW)
    assert draft.adding(came | other, "", NOW).files[WEIGHTS] == other[WEIGHTS]


def test_a_file_that_was_not_announced_belongs_to_nobody() -> None:
    template = {path: Staged(3, "0" * 64, "t") for path in TEMPLATE}

    with pytest.raises(UploadsMixed):
        Draft("ana").announcing(LISTED, NOW).adding(template, "", NOW)
    with pytest.raises(UploadsMixed):
        Draft("ana").announcing(LISTED, NOW).adding(_came(size=9), "", NOW)
    assert Draft("ana").adding(template, "", NOW).awaited == [CONFIG, WEIGHTS]


def test_who_has_fallen_silent_holds_nobody_up() -> None:
    silent = Draft("ana").announcing(LISTED, NOW)
    template = {path: Staged(3, "0" * 64, "t") for path in TEMPLATE}

    with pytest.raises(UploadsMixed):
        silent.adding(template, "", NOW + 900)
    assert silent.adding(template, "", NOW + 901).files == template


def test_drafts_are_plain_json() -> None:
    draft = Draft("ana").announcing(LISTED, NOW).adding(_came(), "parent", NOW)

    assert json.loads(json.dumps(draft.to_json()))["parent"] == "parent"
