"""A commit is read the same however its bytes arrive, and holds no content in memory."""

import base64
import hashlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.registry.tiny_adapters import CONFIG, WEIGHTS
from parfocal.registry.errors import InvalidUpload
from parfocal.registry.faces.hub.uploading.commit_lines import Commit, CommitLines
from parfocal.v1.limits import COMMIT_LINES, COMMIT_PATH_CHARACTERS

TRICKY = st.text(st.sampled_from('"\\:{}[] content\n\u00e9\u2028'), max_size=30)


def _file(path: str, content: bytes) -> bytes:
    value = {"content": base64.b64encode(content).decode(), "path": path, "encoding": "base64"}
    return json.dumps({"key": "file", "value": value}).encode() + b"\n"


def _read(folder: Path, body: bytes, cuts: list[int]) -> Commit:
    lines, begin = CommitLines(folder), 0
    try:
        for cut in [*sorted(cut % (len(body) + 1) for cut in cuts), len(body)]:
            lines.feed(body[begin:cut])
            begin = cut
        return lines.finish()
    finally:
        lines.close()


@given(
    st.binary(max_size=3000),
    st.binary(max_size=600),
    TRICKY,
    st.lists(st.integers(0, 10_000), max_size=12),
    st.booleans(),
)
def test_where_bytes_are_cut_changes_nothing(
    weights: bytes, config: bytes, text: str, cuts: list[int], ends: bool
) -> None:
    said = {"summary": text, "description": f'"content": "{text}', "parentCommit": "a"}
    body = (
        json.dumps({"key": "header", "value": said}).encode()
        + b"\n"
        + _file("notes.pdf", b"no")
        + _file(WEIGHTS, weights)
    )
    body += _file(CONFIG, config)
    with tempfile.TemporaryDirectory() as folder:
        commit = _read(Path(folder), body if ends else body[:-1], cuts)

        assert commit.parent == "a"
        assert {path: part.path.read_bytes() for path, part in commit.parts.items()} == {
            WEIGHTS: weights,
            CONFIG: config,
        }
        part = commit.parts[WEIGHTS]
        assert part.sha256 == hashlib.sha256(weights).hexdigest()
        assert part.sample == hashlib.sha256(weights[:512]).hexdigest()
        assert part.size == len(weights)
        assert commit.ignored == ["notes.pdf"]
        assert len(list(Path(folder).iterdir())) == 2


def test_of_a_file_sent_twice_the_last_counts(tmp_path: Path) -> None:
    commit = _read(tmp_path, _file(CONFIG, b"one") + _file(CONFIG, b"two"), [])

    assert commit.parts[CONFIG].path.read_bytes() == b"two"


def test_a_key_in_disguise_is_no_content(tmp_path: Path) -> None:
    disguised = b'{"key":"file","value":{"con\\u0074ent":"YQ==","path":"x","encoding":"base64"}}\n'

    with pytest.raises(InvalidUpload, match="without its content"):
        _read(tmp_path, disguised, [])


def test_a_commit_has_at_most_so_many_lines(tmp_path: Path) -> None:
    line = json.dumps({"key": "deletedFile", "value": {"path": "x"}}).encode() + b"\n"
    most = COMMIT_LINES.most

    assert len(_read(tmp_path, line * most, []).deleted) == most
    with pytest.raises(InvalidUpload, match=str(most)):
        _read(tmp_path, line * (most + 1), [])


def test_a_path_has_at_most_so_many_characters(tmp_path: Path) -> None:
    most = COMMIT_PATH_CHARACTERS.most

    assert _read(tmp_path, _file("x" * most, b""), []).ignored == ["x" * most]
    with pytest.raises(InvalidUpload, match=str(most)):
        _read(tmp_path, _file("x" * (most + 1), b""), [])
