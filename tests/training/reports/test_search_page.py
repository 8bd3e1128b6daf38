"""The page of a search: every trial drawn and listed, texts escaped, nothing from elsewhere."""

import re

from parfocal.training import Found, Outcome, Trial
from parfocal.training.reports import search_page
from parfocal.training.search import Choices, Range, Scoring, Space

SPACE: Space = {"learning_rate": Range(1e-4, 1e-2, log=True), "init": Choices(("default", "<b>&"))}


def trial(number: int, loss: float, outcome: Outcome = Outcome.FINISHED) -> Trial:
    settings = {"learning_rate": 1e-4 * number, "init": ("default", "<b>&")[number % 2]}
    curve = (Scoring(10, 20, 2 * loss), Scoring(20, 20, loss))
    return Trial(number, settings, outcome, curve, 3.0, "<script>" if outcome is Outcome.DIVERGED else "")


FOUND = Found(
    (trial(1, 0.5), trial(2, 0.2), trial(3, 0.9, Outcome.PRUNED), trial(4, float("inf"), Outcome.DIVERGED)),
    {"learning_rate": 0.8, "init": 0.2},
    2.5,
)


def test_the_best_comes_first_and_is_drawn_last() -> None:
    text = search_page(FOUND, SPACE, "team/invoices")
    rows = re.findall(r'<tr><td class="n">(\d)</td>', text)

    assert "<b>trial 2: loss 0.2000</b>" in text
    assert rows == ["2", "1", "3", "4"]
    curves = text.split("<figure>")[1]
    assert re.findall(r'polyline class="(\w+)"', curves)[-1] == "best"
    assert curves.count('class="cut" points') == 2


def test_texts_are_escaped_and_nothing_comes_from_elsewhere() -> None:
    text = search_page(FOUND, SPACE, "<i>name</i>")

    assert "<script>" not in text and "<i>" not in text and "<b>&" not in text
    assert "&lt;b&gt;&amp;" in text
    assert not re.search(r"(src|href)=|http(?!-equiv)", text)
    assert "nan" not in text and "inf," not in text


def test_one_trial_or_none_is_a_page_too() -> None:
    assert "trial 1: loss 0.5000" in search_page(Found((trial(1, 0.5),)), SPACE, "n")
    assert "0 trials" in search_page(Found(()), SPACE, "n")


def test_losses_that_are_all_the_same_are_drawn() -> None:
    flat = Trial(1, {"learning_rate": 1e-3, "init": "default"}, Outcome.FINISHED, (Scoring(1, 1, 0.0),))
    text = search_page(Found((flat, flat)), SPACE, "n")

    assert text.count('polyline class="best"') == 4
