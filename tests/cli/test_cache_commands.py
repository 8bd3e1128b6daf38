"""`parfocal cache`: what is kept is shown and removed; what is served stays."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from parfocal.engine import BaseCache
from parfocal.engine.base_cache import SEAL

Run = Callable[..., Result]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the cache of a user who served two bases, one of them as two types."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = tmp_path / "parfocal" / "bases"
    for place, (key, name, dtype) in enumerate(
        [("aa11", "tiny", "float32"), ("ab22", "tiny", "bfloat16"), ("cc33", "org/big", "bfloat16")]
    ):
        (root / key).mkdir(parents=True)
        (root / key / "model.safetensors").write_bytes(bytes(2048))
        recipe = json.dumps({"bnb_4bit_compute_dtype": dtype})
        facts = {"files": [["w", "/w", 1, 1, 1]], "recipe": recipe, "device": "cpu"}
        (root / key / SEAL).write_text(json.dumps({"base": name, "facts": facts}))
        os.utime(root / key / SEAL, (1000 + place, 1000 + place))
    return root


def left(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_the_bases_are_listed_the_most_recently_served_first(run: Run, kept: Path) -> None:
    server = BaseCache(kept)
    server.use("aa11")
    lines = run("cache", "ls").stdout.splitlines()
    told = json.loads(run("cache", "ls", "--json").stdout)
    server.close()

    assert [line.split()[:4] for line in lines[1:]] == [
        ["aa11", "tiny", "float32", "cpu"],
        ["cc33", "org/big", "bfloat16", "cpu"],
        ["ab22", "tiny", "bfloat16", "cpu"],
    ]
    assert [line.endswith("now") for line in lines[1:]] == [True, False, False]
    assert told["folder"] == str(kept)
    assert [(base["key"], base["in_use"]) for base in told["bases"]] == [
        ("aa11", True),
        ("cc33", False),
        ("ab22", False),
    ]
    assert told["bases"][1]["used_at"] == "1970-01-01T00:16:42Z"


@pytest.mark.parametrize(
    ("arguments", "stay"),
    [
        (["tiny"], ["cc33"]),
        (["ab22"], ["aa11", "cc33"]),
        (["c", "aa"], ["ab22"]),
        (["--all"], []),
    ],
)
def test_bases_are_removed_by_name_or_key(
    run: Run, kept: Path, arguments: list[str], stay: list[str]
) -> None:
    result = run("cache", "rm", *arguments, "--json")

    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert left(kept) == stay
    assert len(told["removed"]) == 3 - len(stay)
    assert told["freed_bytes"] == sum(base["size_bytes"] for base in told["removed"])


def test_a_base_that_is_served_stays_and_is_named(run: Run, kept: Path) -> None:
    server = BaseCache(kept)
    server.use("aa11")
    by_name, everything = run("cache", "rm", "tiny"), run("cache", "rm", "--all")
    server.close()

    assert by_name.exit_code == 1
    assert by_name.stderr == "parfocal: tiny (aa11) is being served and stays; stop its server first\n"
    assert by_name.stdout == "Removed tiny (bfloat16), 2.1 KiB\n"
    assert everything.exit_code == 0
    assert everything.stderr == "parfocal: tiny (aa11) is being served and stays\n"
    assert left(kept) == ["aa11"]


def test_removing_all_of_an_empty_cache_says_so(run: Run, kept: Path) -> None:
    run("cache", "rm", "--all")

    assert run("cache", "rm", "--all").stdout == "There was nothing to remove\n"


def test_an_unknown_base_is_refused_and_nothing_leaves(run: Run, kept: Path) -> None:
    result = run("cache", "rm", "tiny", "nobody")

    assert result.exit_code == 1
    assert result.stderr == "parfocal: no base 'nobody' is kept; parfocal cache ls shows those that are\n"
    assert len(left(kept)) == 3


@pytest.mark.parametrize("arguments", [[], ["tiny", "--all"], ["--base-cache", "", "tiny"]])
def test_a_removal_must_say_what(run: Run, kept: Path, arguments: list[str]) -> None:
    assert run("cache", "rm", *arguments).exit_code == 2
    assert len(left(kept)) == 3


def test_another_folder_can_be_named(run: Run, kept: Path, tmp_path: Path) -> None:
    assert (
        json.loads(run("cache", "ls", "--base-cache", str(tmp_path / "none"), "--json").stdout)["bases"] == []
    )


@pytest.mark.parametrize("command", ["ls", "rm"])
def test_each_command_explains_itself_with_an_example(run: Run, command: str) -> None:
    assert f"Example: parfocal cache {command}" in " ".join(run("cache", command, "--help").stdout.split())
    (line,) = [line for line in run("cache", "--help").stdout.splitlines() if line.split()[:1] == [command]]
    assert not line.endswith("...")
