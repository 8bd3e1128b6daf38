"""A plan's rows at their places in the flat batch, and its tokens at theirs in the cache."""

import subprocess
import sys

import pytest

from parfocal.engine.adapters import Place
from parfocal.engine.scheduling import (
    Plan,
    PlanRow,
    Segment,
    lay_out,
    merge,
    segments,
    token_places,
    written_places,
)


def row(
    name: str, tokens: int, place: Place | None, start: int = 0, blocks: tuple[int, ...] = (3, 0, 4)
) -> PlanRow:
    return PlanRow(name, (1,) * tokens, start, blocks, place, None)


def test_places_follow_the_rows_blocks() -> None:
    assert token_places([3, 0, 4], 2, 10, 4) == [14, 15, 0, 1, 2, 3, 16, 17]


def test_an_adapters_rows_are_neighbours_and_the_bases_come_last() -> None:
    here, there = Place(0, 1), Place(1, 0)
    laid = lay_out(Plan((row("a", 2, None), row("b", 1, there), row("c", 3, here), row("d", 1, here))))

    assert [(item.row.request_id, item.start, item.end, item.order) for item in laid] == [
        ("c", 0, 3, 2),
        ("d", 3, 4, 3),
        ("b", 4, 5, 1),
        ("a", 5, 7, 0),
    ]
    assert merge(segments(laid)) == [Segment(here, 0, 4), Segment(there, 4, 5)]


def test_each_token_is_written_where_its_own_row_keeps_it() -> None:
    laid = lay_out(Plan((row("a", 2, None, start=3), row("b", 1, Place(0, 0), blocks=(7,)))))

    assert written_places(laid, 4) == [28, 15, 0]


@pytest.mark.parametrize("module", ["scheduling", "adapters", "text", "memory"])
def test_what_only_decides_loads_no_torch(module: str) -> None:
    code = f"import sys, parfocal.engine.{module}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_engines_face_loads_no_torch() -> None:
    names = "Engine, EngineConfig, EngineThread, EngineError, Observer, Request"
    code = f"import sys; from parfocal.engine import {names}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
