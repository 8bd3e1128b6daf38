"""Data sets of the Hub are read by name, at one commit; the split's files are found by their names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.data.hub import data_sets
from parfocal.training import DataUnreadable
from parfocal.training.data import is_of_hub
from parfocal.training.data.reading.locating import chosen_files, located

FILES = {
    "README.md": b"# rows",
    "data/train-00000-of-00002.jsonl": b'{"prompt": "a", "completion": "b"}\n',
    "data/train-00001-of-00002.jsonl": b'{"prompt": "c", "completion": "d"}\n',
    "data/test-00000-of-00001.jsonl": b'{"prompt": "e", "completion": "f"}\n',
}
_PROGRAM = """
import sys
from pathlib import Path
from parfocal.registry import RegistryError
from parfocal.training import TrainingError
from parfocal.training.data import VIEWS, read_rows
try:
    read = read_rows(Path(sys.argv[1]), VIEWS["sft"])
    print([(row.source, row.line, row.prompt[0].content) for row in read.rows])
except (TrainingError, RegistryError) as error:
    print(type(error).__name__, error)
"""


def _read(name: str, folder: Path) -> str:
    with data_sets({"org/rows": FILES}) as endpoint:
        told = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, name],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **told},
            cwd=folder,
        )
    return done.stdout.strip()


def test_the_rows_of_a_data_set_are_read_by_its_name(tmp_path: Path) -> None:
    train = [("train-00000-of-00002.jsonl", 1, "a"), ("train-00001-of-00002.jsonl", 1, "c")]

    assert _read("hf://org/rows", tmp_path) == str(train)
    assert _read("org/rows:test", tmp_path) == str([("test-00000-of-00001.jsonl", 1, "e")])


def test_a_data_set_that_is_not_there_is_refused(tmp_path: Path) -> None:
    said = _read("org/others", tmp_path)

    assert said.startswith(
        "HubRefused there is no file org/others, and the data set hf://org/others cannot be"
    )


def test_a_split_that_is_not_there_is_refused_with_what_is(tmp_path: Path) -> None:
    said = _read("hf://org/rows:validation", tmp_path)

    assert said.startswith("DataUnreadable the data set hf://org/rows has no file of rows for the split")
    assert "data/test-00000-of-00001.jsonl" in said


@pytest.mark.parametrize(
    ("names", "split", "chosen"),
    [
        (["train.jsonl", "test.jsonl"], None, ["train.jsonl"]),
        (["train.jsonl", "test.jsonl"], "test", ["test.jsonl"]),
        (["rows.csv", "README.md"], None, ["rows.csv"]),
        (["train/0.parquet", "test/0.parquet"], None, ["train/0.parquet"]),
        (["train.csv", "train.parquet"], None, ["train.parquet"]),
        (["dataset_infos.json", "rows.json"], None, ["rows.json"]),
        (["train.jsonl"], "other", []),
        (["README.md"], None, []),
    ],
)
def test_the_files_of_a_split_are_known_by_their_names(
    names: list[str], split: str | None, chosen: list[str]
) -> None:
    assert chosen_files(names, split) == chosen


@pytest.mark.parametrize(
    ("path", "of_hub"),
    [
        ("hf://org/rows", True),
        ("hf://datasets/org/rows@main:train", True),
        ("org/rows", True),
        ("rows.jsonl", False),
        ("data/rows.jsonl", False),
        ("./org/rows", True),  # Path leaves the point out
        ("/org/rows", False),
        ("-", False),
    ],
)
def test_what_is_no_file_and_looks_like_a_name_is_of_the_hub(path: str, of_hub: bool) -> None:
    assert is_of_hub(Path(path)) is of_hub


def test_a_file_comes_before_a_data_set_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "rows").write_text("x")

    assert located(tmp_path / "org" / "rows") == (tmp_path / "org" / "rows",)


def test_a_name_that_cannot_be_is_refused() -> None:
    with pytest.raises(DataUnreadable, match="no data set of the Hub"):
        located(Path("hf://a b c"))
