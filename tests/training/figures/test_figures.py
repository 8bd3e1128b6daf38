"""Figures from what arms did: over all rows, over slices, and as the registry records them."""

import math
from collections.abc import Sequence

import pytest

from parfocal.training.figures import (
    Arm,
    Figure,
    Item,
    Measured,
    RowScore,
    TrainingText,
    Written,
    figures_of,
    nearest,
    recorded,
)
from parfocal.training.metrics import Answer, Scores, metric_named

ROWS = 24


def item(at: int) -> Item:
    return Item("rows.jsonl", at + 1, "odd" if at % 2 else "even", f"q{at}".encode(), f"question {at}", "yes")


ITEMS = tuple(map(item, range(ROWS)))


def measured(title: str, losses: Sequence[float], texts: Sequence[str] = ()) -> Measured:
    scores = tuple(RowScore((-loss, -loss - 0.5), (loss < 1, True)) for loss in losses)
    written = tuple(Written(text, 3, 10, text != "never ends") for text in texts)
    return Measured(Arm(title), scores, written)


def scored(one: Measured) -> Scores:
    pairs = zip(ITEMS, one.written, strict=False)
    return metric_named("exact").scores([Answer(each.prompt, wrote.text, each.true) for each, wrote in pairs])


BASE = measured("base", [2 + at / 10 for at in range(ROWS)], ["no"] * 11 + ["never ends"])
ADAPTER = measured("adapter", [0.5 + at / 50 for at in range(ROWS)], ["yes"] * 12)
FIGURES = figures_of(ITEMS, [BASE, ADAPTER], [[scored(BASE), scored(ADAPTER)]])


def figure(name: str, of_slice: str = "") -> Figure:
    return next(each for each in FIGURES if (each.name, each.slice) == (name, of_slice))


def test_the_loss_is_per_token_and_what_is_gained_per_row() -> None:
    loss = figure("loss")
    assert loss.improvements[1] is not None

    assert loss.estimate(0).value == pytest.approx(sum(2.25 + at / 10 for at in range(ROWS)) / ROWS)
    assert loss.improvements[0] is None
    assert loss.improvements[1].value == pytest.approx(loss.estimate(0).value - loss.estimate(1).value)
    assert loss.improvements[1].verdict() == "better"


def test_answers_are_of_the_first_rows_only() -> None:
    exact, stops = figure("exact_match"), figure("stops")

    assert (exact.rows, stops.rows, figure("loss").rows) == (12, 12, ROWS)
    assert [exact.estimate(at).value for at in (0, 1)] == [0, 1]
    assert [stops.estimate(at).value for at in (0, 1)] == pytest.approx([11 / 12, 1])


def test_each_slice_has_figures_of_its_own() -> None:
    assert figure("loss", "odd").rows == 12
    assert figure("loss", "odd").estimate(0).value == pytest.approx(
        sum(2.25 + at / 10 for at in range(1, ROWS, 2)) / 12
    )
    assert figure("exact_match", "even").rows == 6


def test_what_is_recorded_is_named_as_gates_read_it() -> None:
    found = recorded(FIGURES, 1, {"logprob_shift": 1.0})

    assert found["adapter_loss"] == figure("loss").estimate(1).value
    assert found["base_loss/odd"] == figure("loss", "odd").estimate(0).value
    assert found["loss_gain_low/odd"] > 0
    assert found["adapter_exact_match_low"] == pytest.approx(0.757, abs=1e-3)
    assert found["exact_match_gain_low"] > 0
    assert found["logprob_shift"] == 1.0
    assert all(math.isfinite(value) for value in found.values())


def test_more_than_a_registry_keeps_is_left_out_slices_first() -> None:
    many = tuple(
        Figure(name, f"slice {at}" if at else "", 9, True, figure("stops").estimates, (None, None))
        for name in ("stops", "right")
        for at in range(200)
    )
    found = recorded(many, 1, {"logprob_shift": 1.0})

    assert len(found) <= 900
    assert {"adapter_stops", "adapter_right", "logprob_shift", "adapter_stops/slice 1"} <= found.keys()
    assert "adapter_right/slice 199" not in found


def test_rows_that_ask_the_same_are_one_cluster() -> None:
    """Two questions, each asked twelve times, prove nothing however often."""
    alike = tuple(
        Item(each.source, each.line, "", b"a" if at < 12 else b"b", each.prompt, each.true)
        for at, each in enumerate(ITEMS)
    )
    loss = figures_of(alike, [BASE, ADAPTER], [])[0].improvements[1]

    assert loss is not None and loss.verdict() == "no clear difference"


def test_the_nearest_training_row_is_the_one_most_alike() -> None:
    rows = [
        TrainingText(1, "please send the invoice of march", "ok"),
        TrainingText(2, "where is my parcel with the blue lamp", "coming"),
        TrainingText(3, "hello", "hi"),
    ]
    found = nearest({7: "Where is my  parcel with the red lamp?", 8: "zzzz qqqq"}, rows)

    assert found[7].row.line == 2
    assert 0.5 < found[7].likeness < 1
    assert 8 not in found
    assert nearest({1: "hello"}, rows)[1].likeness == 1
