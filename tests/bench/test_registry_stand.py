"""The registry's stand says that a promise is broken where one is, and runs whole in small."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.registry_stand import flip
from bench.registry_stand.flip import Answer, Seen
from bench.registry_stand.judge import lost_moves, lost_publications, wrong_moves, wrongly_refused
from bench.registry_stand.report import quantile
from fakes.registry.publisher import numbered_adapter, small_publication
from fakes.registry.shared_writer import NAME
from parfocal.registry import AliasMove, FolderRegistry, MoveKind

HERE = Path(__file__).resolve().parent
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def move(before: int, after: int) -> AliasMove:
    return AliasMove(NAME, "prod", before, after, f"sha256:{after:064}", MoveKind.SET, "", NOON, "")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> FolderRegistry:
    """Two versions of what a storm writes."""
    folder = tmp_path_factory.mktemp("judged")
    registry = FolderRegistry(folder / "registry")
    publication = small_publication(folder)
    for number in (1, 2):
        registry.publish(NAME, numbered_adapter(folder, number), publication)
    return registry


def told(registry: FolderRegistry) -> list[dict[str, Any]]:
    return [{"published": n, "digest": registry.resolve(f"{NAME}@{n}").digest} for n in (1, 2)]


def test_a_lost_publication_is_named(registry: FolderRegistry) -> None:
    assert lost_publications(registry, told(registry)) == []
    lost = {"published": 3, "digest": "sha256:1"}
    assert len(lost_publications(registry, [*told(registry), lost])) == 1
    changed = {**told(registry)[0], "digest": "sha256:1"}
    assert len(lost_publications(registry, [changed])) == 1


@pytest.mark.parametrize(
    ("moves", "wrong"),
    [
        ([], 0),
        ([(0, 1), (1, 2), (2, 5)], 0),
        ([(0, 1), (1, 2), (1, 3)], 2),  # does not begin where the one before ended, and begins twice at 1
        ([(0, 1), (4, 5)], 1),
    ],
)
def test_an_alias_that_moved_twice_from_one_expectation_is_named(
    moves: list[tuple[int, int]], wrong: int
) -> None:
    assert len(wrong_moves([move(*each) for each in moves])) == wrong


def test_a_lost_move_is_named() -> None:
    acknowledged = [{"moved": 1, "expected": 0}, {"moved": 3, "expected": 1}, {"read": 1}]
    assert lost_moves([move(0, 1), move(1, 3)], acknowledged) == []
    assert lost_moves([move(0, 1)], acknowledged) == ["from 1 to 3"]


def test_only_what_passes_may_be_refused() -> None:
    passing = {"refused": "INDEX_UNREACHABLE", "status": "UNAVAILABLE"}
    assert wrongly_refused([passing, {"read": 1}]) == []
    assert wrongly_refused([passing, {"refused": "BLOB_CORRUPT", "status": "DATA_LOSS"}]) == ["BLOB_CORRUPT"]


def seen(*versions: int, slow: float = 0.01, errors: int = 0) -> Seen:
    """Two clients' answers in turn, one a second; the alias moves at second 4. The last takes `slow`."""
    times = [0.01] * (len(versions) - 1) + [slow]
    answers = [
        Answer(number, number % 2, float(number), version, first)
        for number, (version, first) in enumerate(zip(versions, times, strict=True))
    ]
    return Seen(answers, ["failed"] * errors, moving=4.0, moved=4.5)


@pytest.mark.parametrize(
    ("came", "broken"),
    [
        (seen(1, 1, 1, 1, 2, 2, 2), None),
        (seen(1, 1, 1, 1, 2, 1, 2), None),  # another client's request, which was under way
        (seen(1, 1, 1, 1, 2, 2, 1), "no client sees the old version after the new one"),
        (seen(1, 1, 1, 1, 2, 2, 3), "every answer is one of the two versions"),
        (seen(1, 1, 1, 1, 1, 1, 1), "every answer is one of the two versions"),
        (seen(1, 1, 1, 1, 2, 2, 2, errors=1), "no request fails"),
        (seen(1, 1, 1, 1, 2, 2, 2, slow=0.021), "no first token takes over twice the steady p99"),
    ],
)
def test_a_flip_that_breaks_a_promise_says_which(came: Seen, broken: str | None) -> None:
    failed = [bar.promise for bar in flip.report(came, 7, 2).bars if not bar.holds]
    assert failed == ([broken] if broken else [])


def test_a_quantile_is_a_value_that_was_seen() -> None:
    assert [quantile([3.0, 1.0, 2.0], share) for share in (0.0, 0.5, 0.99)] == [1.0, 2.0, 3.0]


def test_the_stand_runs_in_small_and_writes_what_it_found(tmp_path: Path) -> None:
    small = ["--adapters", "8", "--calls", "2", "--layers", "1", "--rounds", "1", "--events", "400"]
    done = subprocess.run(
        [HERE / "registry.sh", "catalogue", "publishing", "events", *small],
        env={**os.environ, "BENCH_PYTHON": sys.executable, "BENCH_RESULTS": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=300,
    )

    names = ("catalogue", "publishing", "events")
    documents = [json.loads((tmp_path / f"{name}.json").read_text()) for name in names]
    benches = ["8 adapters in SQLite", "A large adapter is published", "400 events"]
    assert [each["bench"] for each in documents] == benches
    assert done.returncode == (0 if all(each["holds"] for each in documents) else 1)
    page = (tmp_path / "README.md").read_text()
    assert page.strip().endswith(done.stdout.strip())
    assert all(bar["promise"] in page for each in documents for bar in each["bars"])
