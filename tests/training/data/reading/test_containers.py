"""Files of every kind, known by their bytes: read row by row, or refused by name with the way out."""

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from fakes.data.files import read_bytes, read_file
from parfocal.training import Severity
from parfocal.training.data.reading import DataStream, json_array
from parfocal.training.data.reading.records import Line


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("data", "numbers"),
    [
        (b'[{"a": 1}, {"a": 2}]', [1, 1]),
        (b'[\n  {"a": 1},\n  {"a": 2}\n]\n', [2, 3]),
        (b'\n[{"a":\n 1}\n,\n\n{"a": 2}]', [2, 6]),
        (b"[]", []),
        (b"[ ]\n", []),
    ],
)
def test_a_json_array_is_read_with_the_lines_of_its_elements(
    path: Path, data: bytes, numbers: list[int]
) -> None:
    file = read_bytes(path, data)

    assert file.numbers == numbers
    assert file.values == [{"a": 1}, {"a": 2}][: len(numbers)]
    assert file.by_code["JSON_ARRAY"].severity is Severity.NOTE


class _InPieces:
    def __init__(self, data: bytes, size: int) -> None:
        self._file = io.BytesIO(data)
        self._size = size

    def read(self, size: int, /) -> bytes:
        return self._file.read(self._size)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.dictionaries(st.text(max_size=5), _values, max_size=4), max_size=6),
    st.integers(1, 40),
    st.sampled_from([None, 1]),
)
def test_an_array_is_read_the_same_wherever_pieces_of_it_end(
    rows: list[dict[str, object]], size: int, indent: int | None
) -> None:
    data = _InPieces(json.dumps(rows, indent=indent).encode(), size)
    found = [each for each in json_array.read_json_array(data, "x") if isinstance(each, Line)]

    assert [line.value for line in found] == rows


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b'[{"a": 1},\n{"a": 2}', 2),
        (b'[{"a": 1},\n{"a": "2}]', 2),
        (b'[\n{"a": 1}]\n[{"a": 2}]', 3),
        (b"[" * 300, 1),
        (b'[{"a": 1},\n{"a" 2}]', 2),
        (b'[{"a": 1},\n,{"a": 2}]', 2),
    ],
)
def test_an_array_that_is_broken_is_refused_where_it_breaks(path: Path, data: bytes, line: int) -> None:
    assert read_bytes(path, data).by_code["BAD_JSON"].lines == (line,)


def test_elements_that_are_no_objects_are_named(path: Path) -> None:
    file = read_bytes(path, b'[{"a": 1},\n7,\n"x"]')

    assert [finding.lines for finding in file.findings if finding.code == "NOT_AN_OBJECT"] == [(2,), (3,)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_refused_with_the_way_to_convert_it(path: Path, encoding: str) -> None:
    found = read_bytes(path, '{"a": "long enough to tell"}\n'.encode(encoding)).by_code["NOT_UTF8"]

    assert found.severity is Severity.ERROR
    assert "iconv -f UTF-16" in found.fix


@pytest.mark.parametrize("data", [b"", b"\n\n  \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(path: Path, data: bytes) -> None:
    assert read_bytes(path, data).by_code["EMPTY_FILE"].severity is Severity.ERROR


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x80\x02}q\x00X\x01\x00\x00\x00a" * 9, "binary data"),
        (b"PK\x03\x04\x14\x00", "ZIP"),
        (b"%PDF-1.7\n", "PDF"),
        (b"BZh91AY", "bzip2"),
    ],
)
def test_a_binary_file_is_refused_as_what_it_is(path: Path, data: bytes, said: str) -> None:
    found = read_bytes(path, data).by_code["BINARY_FILE"]

    assert said in found.message
    assert found.fix


def test_an_object_over_many_lines_gets_one_word(path: Path) -> None:
    file = read_bytes(path, b'{\n  "prompt": "a",\n  "completion": "b"\n}\n')

    assert [(found.code, found.lines) for found in file.findings] == [("BAD_JSON", (1,))]
    assert "jq -c ." in file.findings[0].fix


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"prompt,completion\na,b\n", {"prompt": "a", "completion": "b"}),
        (b'prompt;completion\n"a;1";b\n', {"prompt": "a;1", "completion": "b"}),
        (b"prompt\tcompletion\r\na\tb\r\n", {"prompt": "a", "completion": "b"}),
        (b"\xef\xbb\xbfprompt,completion\na,b", {"prompt": "a", "completion": "b"}),
        (b'prompt,completion\na,"{""x"": 1}"\n', {"prompt": "a", "completion": '{"x": 1}'}),
        (b"prompt,completion,label\na,b,true\n", {"prompt": "a", "completion": "b", "label": True}),
        (b"instruction,input,output\na,,b\n", {"instruction": "a", "output": "b"}),
    ],
)
def test_csv_is_known_by_its_heading(path: Path, data: bytes, value: dict[str, object]) -> None:
    assert read_bytes(path, data).values == [value]


def test_messages_stand_in_a_cell_as_json(path: Path) -> None:
    messages = [{"role": "user", "content": "hi"}]
    cell = json.dumps(messages).replace('"', '""')

    assert read_bytes(path, f'messages,id\n"{cell}",7\n'.encode()).values == [
        {"messages": messages, "id": "7"}
    ]


def test_rows_over_many_lines_are_numbered_by_the_line_they_begin_in(path: Path) -> None:
    file = read_bytes(path, b'prompt,completion\n"a\nb",c\nd,e\n\nf,g\n')

    assert file.numbers == [2, 4, 6]
    assert file.values[0] == {"prompt": "a\nb", "completion": "c"}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"prompt,completion\na\nb,c\n", 2),
        (b"prompt,completion\na,b,c\nb,c\n", 2),
        (b'prompt,completion\nb,c\na,"b\n', 3),
        (b"prompt,prompt\nb,c\n", 1),
        (b"prompt,\nb,c\n", 1),
    ],
)
def test_csv_that_is_broken_is_refused_where_it_breaks(path: Path, data: bytes, line: int) -> None:
    assert read_bytes(path.with_suffix(".csv"), data).by_code["BAD_CSV"].lines == (line,)


def test_csv_in_another_encoding_is_refused(path: Path) -> None:
    found = read_bytes(path, "prompt,completion\na,b\nä,b\n".encode("latin-1"))

    assert found.by_code["NOT_UTF8"].severity is Severity.ERROR


def test_a_cell_may_be_long(path: Path) -> None:
    assert (
        len(read_bytes(path, b"prompt,completion\n" + b"x" * 300_000 + b",b\n").values[0]["prompt"])
        == 300_000
    )


def _parquet(rows: list[dict[str, object]]) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return sink.getvalue()


def test_parquet_is_read_row_by_row_without_what_is_null(path: Path) -> None:
    messages = [{"role": "user", "content": "hi", "weight": None}, {"role": "a", "content": "b", "weight": 1}]
    data = _parquet([{"messages": messages, "n": 1}, {"messages": None, "n": 2}] * 300)
    file = read_bytes(path, data)

    assert file.numbers == list(range(1, 601))
    assert file.values[0] == {"messages": [{"role": "user", "content": "hi"}, messages[1]], "n": 1}
    assert file.values[1] == {"n": 2}
    assert file.digest == read_file(path).digest


def test_parquet_that_is_cut_is_refused(path: Path) -> None:
    data = _parquet([{"a": "x" * 1000}] * 50)

    assert "cannot be read" in read_bytes(path, data[: len(data) // 2]).by_code["BAD_PARQUET"].message


def _rows(name: str) -> bytes:
    rows: list[dict[str, object]] = [{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": "d"}]
    made: dict[str, Callable[[], bytes]] = {
        "jsonl": lambda: "".join(json.dumps(row) + "\n" for row in rows).encode(),
        "array": lambda: json.dumps(rows).encode(),
        "csv": lambda: b"prompt,completion\na,b\nc,d\n",
        "parquet": lambda: _parquet(rows),
    }
    return made[name]()


KINDS = ["jsonl", "array", "csv", "parquet"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_may_be_compressed(path: Path, kind: str) -> None:
    file = read_bytes(path, gzip.compress(_rows(kind)))

    assert file.values == [{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": "d"}]


def test_a_compressed_file_that_is_cut_is_refused(path: Path) -> None:
    data = gzip.compress(json.dumps([{"a": str(at)} for at in range(5000)]).encode())

    assert "damaged" in read_bytes(path, data[: len(data) // 2]).by_code["BAD_GZIP"].message


_READS_STANDARD_INPUT = """
from pathlib import Path
from parfocal.training.data.reading import DataStream, Line
stream = DataStream(Path("-"))
print([line.value["prompt"] for line in stream if isinstance(line, Line)], stream.source, stream.digest)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_may_come_through_standard_input(path: Path, kind: str) -> None:
    data = _rows(kind)
    done = subprocess.run(
        [sys.executable, "-c", _READS_STANDARD_INPUT], input=data, capture_output=True, check=True
    )

    assert done.stdout.decode() == f"['a', 'c'] standard input {read_bytes(path, data).digest}\n"


def test_reading_stops_where_its_reader_stops(path: Path) -> None:
    path.write_bytes(b'{"a": 1}\n' * 5)

    assert isinstance(next(iter(DataStream(path))), Line)
