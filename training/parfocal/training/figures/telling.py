"""Figures as lines of text: a table of arms, and what may be said of each beside the first."""

from collections.abc import Iterator, Sequence

from parfocal.training.figures.evaluated import Continued, Evaluated, Figure, Measured
from parfocal.training.intervals import Difference, Estimate

LOSSES = ("loss", "general_loss", "kl_from_base", "margin", "reward")
TITLES = {
    "loss": "loss (nats per token)",
    "token_accuracy": "token accuracy",
    "stops": "stops by itself",
    "exact_match": "exact match",
    "json_valid": "valid JSON",
    "json_exact": "JSON equal",
    "json_f1": "JSON fields, F1",
    "label_accuracy": "label accuracy",
    "label_f1": "labels, macro F1",
    "rouge_1": "ROUGE-1",
    "rouge_2": "ROUGE-2",
    "rouge_l": "ROUGE-L",
    "regex_match": "matches the pattern",
    "judge_score": "judge's score",
    "margin": "margin (nats)",
    "preference_accuracy": "preference accuracy",
    "pair_accuracy": "pair accuracy",
    "reward": "reward",
    "general_loss": "loss on general text (nats)",
    "forgetting": "forgotten of general text",
    "kl_from_base": "KL from the base (nats)",
    "stereotypes": "prefers the cliché",
    "modern_facts": "prefers what holds today",
}
_NAME, _CELL = 28, 11


def title(figure: Figure) -> str:
    """What people call a figure."""
    if figure.name == "loss" and not any(figure.improvements):
        return "loss"  # a method's own, which is not in nats
    return TITLES.get(figure.name, figure.name)


def value_text(name: str, estimate: Estimate | None) -> str:
    """A value as people read it, a dash where it was not taken.

    >>> value_text("exact_match", Estimate(0.25, None)), value_text("loss", Estimate(1.5, None))
    ('25.0%', '1.5000')
    """
    if estimate is None:
        return "-"
    return f"{estimate.value:.4f}" if name in LOSSES else f"{estimate.value:.1%}"


def interval_text(name: str, estimate: Estimate | None) -> str:
    """Its interval, empty where there is none."""
    if estimate is None or estimate.interval is None:
        return ""
    ends = (estimate.interval.low, estimate.interval.high)
    return " to ".join(f"{end:.3f}" if name in LOSSES else f"{end:.0%}" for end in ends)


def difference_text(name: str, found: Difference) -> str:
    """How much better an arm is, with the interval and the least that could have been told."""

    def shown(value: float) -> str:
        return f"{value:+.3f}" if name in LOSSES else f"{100 * value:+.1f} points"

    detectable = "" if found.detectable is None else f", could have told {shown(found.detectable)[1:]}"
    ends = f"{shown(found.interval.low)} to {shown(found.interval.high)}"
    return f"{shown(found.value)} (95 %: {ends}{detectable})"


def change_text(name: str, found: Difference) -> str:
    """How much better an arm is, and the ends of that, in as few words as there are."""
    unit = 1 if name in LOSSES else 100
    digits = 3 if name in LOSSES else 1
    value, low, high = (unit * each for each in (found.value, found.interval.low, found.interval.high))
    return f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def tokens_text(measured: Measured) -> str:
    """The mean tokens of a prompt and of its answer."""
    count = len(measured.written)
    prompt = sum(each.prompt_tokens for each in measured.written) / count
    return f"{prompt:.0f} + {sum(each.tokens for each in measured.written) / count:.0f}"


def table_lines(found: Evaluated) -> Iterator[str]:
    """The figures over all rows, an arm a column."""
    arms = [each.arm.title for each in found.measured]
    width = max(_CELL, *(len(each) + 2 for each in arms))
    rows = f"{len(found.items)} held-out rows"
    yield f"{rows:<{_NAME}}" + "".join(f"{each:>{width}}" for each in arms)
    for figure in shown_figures(found):
        cells = (value_text(figure.name, each) for each in figure.estimates)
        count = "" if figure.rows == len(found.items) or figure in found.probes else f" ({figure.rows})"
        yield f"{title(figure) + count:<{_NAME}}" + "".join(f"{each:>{width}}" for each in cells)
    if found.measured[0].written:
        cells = (tokens_text(each) for each in found.measured)
        yield f"{'tokens: prompt + answer':<{_NAME}}" + "".join(f"{each:>{width}}" for each in cells)


def shown_figures(found: Evaluated) -> list[Figure]:
    """The figures over all rows that a first look wants: no single fields."""
    return [
        figure
        for figure in (*found.figures, *found.probes)
        if not figure.slice and "." not in figure.name and figure.name != "general_loss"
    ]


def verdict_lines(found: Evaluated) -> Iterator[str]:
    """What the intervals support, for each arm but the first: of the loss, and of the metric."""
    wanted = ("loss", found.metric)
    for at, measured in enumerate(found.measured[1:], start=1):
        for figure in found.figures:
            improvement = figure.improvements[at]
            if figure.slice or figure.name not in wanted or improvement is None:
                continue
            said = improvement.verdict().value
            told = difference_text(figure.name, improvement)
            yield f"{measured.arm.title}, {_plain(figure)}: {said}, {told}"
    if found.continued is not None:
        yield from continued_lines(found.continued, found.metric)
    yield from found.notes


def continued_lines(found: Continued, metric: str) -> Iterator[str]:
    """What was gained over the parent, and what was forgotten of it."""
    wanted = ("loss", metric)
    for of, figure in found.all_figures():
        if figure.slice:
            continue
        where = f" of {of}" if of else ""
        improvement = figure.improvements[1]
        if figure.name == "forgetting":
            share = figure.estimate(1)
            ends = f" ({interval_text(figure.name, share)})" if share.interval else ""
            yield f"beside {found.parent}, forgotten{where}: {share.value:+.1%}{ends}"
        elif figure.name in wanted and improvement is not None:
            said = improvement.verdict().value
            told = difference_text(figure.name, improvement)
            yield f"beside {found.parent}, {_plain(figure)}{where}: {said}, {told}"


def _plain(figure: Figure) -> str:
    """Its title without its unit."""
    return title(figure).partition(" (")[0]


def lines(found: Evaluated) -> Sequence[str]:
    """The table and the verdicts."""
    return [*table_lines(found), *verdict_lines(found)]
