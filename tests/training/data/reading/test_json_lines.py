"""Reading data files: every line that is not one JSON object is named, and reading goes on."""

import hashlib
from pathlib import Path

import pytest

from fakes.data.files import ReadFile, read_bytes, read_file
from parfocal.training import DataUnreadable, Finding, Severity
from parfocal.training.data.reading.records import MAX_RECORD_BYTES


def _read(path: Path, data: bytes) -> ReadFile:
    return read_bytes(path, data)


def _by_code(file: ReadFile) -> dict[str, Finding]:
    return file.by_code


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.jsonl"


def test_lines_keep_the_numbers_an_editor_shows(path: Path) -> None:
    file = _read(path, b'{"a": 1}\n\n{"a": 2}\n')

    assert [line.number for line in file.lines] == [1, 3]
    assert _by_code(file)["BLANK_LINE"].lines == (2,)


def test_a_last_line_without_a_line_break_counts(path: Path) -> None:
    assert len(_read(path, b'{"a": 1}\n{"a": 2}').lines) == 2


def test_windows_line_ends_are_read(path: Path) -> None:
    assert [line.value for line in _read(path, b'{"a": 1}\r\n{"a": 2}\r\n').lines] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    "bad",
    [
        b'{"a": 1',
        b'{"a": "\xff"}',
        b"a: 1",
        b'{"a": 1} {"a": 2}',
        b"[" * 5000,
    ],
)
def test_a_line_that_is_not_usable_json_is_named_and_the_rest_is_read(path: Path, bad: bytes) -> None:
    file = _read(path, b'{"a": 1}\n' + bad + b'\n{"a": 3}\n')

    assert [line.number for line in file.lines] == [1, 3]
    assert _by_code(file)["BAD_JSON"].lines == (2,)
    assert _by_code(file)["BAD_JSON"].severity is Severity.ERROR


@pytest.mark.parametrize(
    "value",
    [b"12345678901234567890", b"-1e999", b"NaN", b"1" * 40, b'[{"deep": [{"id": 36893488147419103232}]}]'],
    ids=["over 64 bits", "beyond a float", "no number", "40 digits", "nested"],
)
def test_a_number_that_only_other_programs_write_does_not_cost_the_row(path: Path, value: bytes) -> None:
    file = _read(path, b'{"prompt": "a", "completion": "b", "metadata": ' + value + b"}\n")

    assert [line.value["completion"] for line in file.lines] == ["b"]
    assert file.findings == ()


def test_a_number_of_thousands_of_digits_costs_its_row_alone(path: Path) -> None:
    file = _read(path, b'{"a": ' + b"1" * 5000 + b'}\n{"a": 2}\n')

    assert [line.number for line in file.lines] == [2]
    assert "thousands of digits" in _by_code(file)["BAD_JSON"].message


def test_each_bad_line_has_its_reason(path: Path) -> None:
    file = _read(path, b'{"a": 1]\n{"b"\n')

    assert [(finding.code, finding.lines) for finding in file.findings] == [
        ("BAD_JSON", (1,)),
        ("BAD_JSON", (2,)),
    ]
    assert "Expecting ',' delimiter at column 8" in file.findings[0].message


def test_a_line_that_is_no_object_is_named(path: Path) -> None:
    assert _by_code(_read(path, b'{"a": 1}\n7\n"x"\n'))["NOT_AN_OBJECT"].lines == (3,)


def test_a_byte_order_mark_is_skipped_and_noted(path: Path) -> None:
    file = _read(path, b'\xef\xbb\xbf{"a": 1}\n')

    assert [line.value for line in file.lines] == [{"a": 1}]
    assert _by_code(file)["BYTE_ORDER_MARK"].severity is Severity.NOTE


def test_utf16_is_refused(path: Path) -> None:
    assert _by_code(_read(path, '{"a": 1}\n'.encode("utf-16")))["NOT_UTF8"].severity is Severity.ERROR


def test_a_line_too_long_to_hold_is_named_and_the_rest_is_read(path: Path) -> None:
    file = _read(path, b'{"a": 1}\n{"a": "' + b"x" * MAX_RECORD_BYTES + b'"}\n{"a": 3}\n')

    assert file.numbers == [1, 3]
    assert _by_code(file)["LINE_TOO_LONG"].lines == (2,)


def test_lines_are_whole_wherever_a_piece_of_the_file_ends(path: Path) -> None:
    rows = [b'{"a": "%s"}' % (b"x" * (at * 7919 % 300_000)) for at in range(30)]
    file = _read(path, b"\n".join(rows))

    assert [len(str(value["a"])) for value in file.values] == [at * 7919 % 300_000 for at in range(30)]


def test_the_digest_is_that_of_the_file(path: Path) -> None:
    data = b'{"a": 1}\n'

    assert _read(path, data).digest == "sha256:" + hashlib.sha256(data).hexdigest()


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(DataUnreadable, match=r"data\.jsonl: No such file"):
        read_file(path)


def test_a_folder_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(DataUnreadable, match="directory"):
        read_file(tmp_path)
