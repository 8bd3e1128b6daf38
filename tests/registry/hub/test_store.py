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
        draft = Draft("ana", files={CONFIG: Staged(part.size, part.sha256, part.sample)})
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


def test_what_waited_too_long_is_swept(store: UploadStore, tmp_path: Path) -> None:
    draft = _saved(store)
    store.create("team/old")
    with store.work_folder() as work:
        store.keep_object(NAME, "0" * 64, _part(store, work, b"x").path)
    store.sweep()
    assert (store.drafts(NAME), store.size(), store.is_created("team/old")) == ([draft], 5, True)

    limit_s = STAGED_HOURS.most * 3600
    store.save(NAME, "key", replace(draft, touched=time.time() - limit_s - 60), {})
    for path in [store.object(NAME, "0" * 64), *(tmp_path / "home").glob("*/repos/*/*/created")]:
        os.utime(path, (0, 0))
    store.sweep()

    assert (store.drafts(NAME), store.size(), store.is_created("team/old")) == ([], 0, False)


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
    draft = Draft("ana").announcing(LISTED).announcing(TEMPLATE).adding(_came(), "")

    assert draft.awaited == ["chat_template.jinja"]


def test_the_same_list_again_changes_nothing() -> None:
    draft = Draft("ana").announcing(LISTED).adding(_came(), "")

    assert draft.announcing(LISTED).files == draft.files


def test_another_list_of_the_same_files_is_another_upload() -> None:
    draft = Draft("ana").announcing(LISTED | TEMPLATE).adding(_came(), "")

    fresh = draft.announcing(LISTED)
    assert (fresh.files, fresh.awaited) == ({}, [CONFIG, WEIGHTS])


def test_where_two_uploads_met_only_files_that_come_together_are_taken() -> None:
    met = Draft("ana").announcing({CONFIG: Announced(1, "other")}).announcing(LISTED)
    came = _came()
    weights = {WEIGHTS: came[WEIGHTS]}

    with pytest.raises(UploadsMixed, match="may be of either"):
        met.adding(weights, "")
    assert met.adding(weights, "", continues=True).awaited == [CONFIG]
    assert met.adding(came, "").awaited == []
    assert replace(met, touched=0.0).adding(weights, "").contested is False


def test_a_file_that_comes_again_with_other_bytes_is_of_another_upload() -> None:
    """Its announcement cannot tell: weights of one shape are equally long and begin alike."""
    came = _came()
    other = {WEIGHTS: replace(came[WEIGHTS], sha256="1" * 64)}
    draft = Draft("ana").announcing(LISTED).adding({WEIGHTS: came[WEIGHTS]}, "")

    with pytest.raises(UploadsMixed):
        draft.adding(other, "")
    with pytest.raises(UploadsMixed):
        draft.disputed().adding({CONFIG: came[CONFIG]}, "")
    assert draft.adding(came | other, "").files[WEIGHTS] == other[WEIGHTS]


def test_a_file_that_was_not_announced_belongs_to_nobody() -> None:
    template = {path: Staged(3, "0" * 64, "t") for path in TEMPLATE}

    with pytest.raises(UploadsMixed):
        Draft("ana").announcing(LISTED).adding(template, "")
    with pytest.raises(UploadsMixed):
        Draft("ana").announcing(LISTED).adding(_came(size=9), "")
    assert Draft("ana").adding(template, "").awaited == [CONFIG, WEIGHTS]


def test_who_has_fallen_silent_holds_nobody_up() -> None:
    silent = replace(Draft("ana").announcing(LISTED), touched=0.0)
    template = {path: Staged(3, "0" * 64, "t") for path in TEMPLATE}

    assert silent.adding(template, "").files == template


def test_drafts_are_plain_json() -> None:
    draft = Draft("ana").announcing(LISTED).adding(_came(), "parent")

    assert json.loads(json.dumps(draft.to_json()))["parent"] == "parent"
