"""An evaluation as JSON: every figure, and as many answers as a report may hold."""

from collections.abc import Sequence

from parfocal.registry.values import JSON
from parfocal.training.figures import Continued, Evaluated, Figure
from parfocal.training.intervals import Difference, Estimate

SCHEMA = 1
MOST_SAMPLES = 60
MOST_CHARACTERS = 2000


def document(found: Evaluated) -> dict[str, JSON]:
    """The evaluation as a JSON object; the same evaluation gives the same bytes."""
    return {
        "schema": SCHEMA,
        "base": found.base,
        "data": found.data,
        "data_digest": found.data_digest,
        "rows": len(found.items),
        "answers": len(found.measured[0].written),
        "metric": found.metric,
        "arms": [
            {
                "title": each.arm.title,
                "adapter": each.arm.adapter,
                "digest": each.arm.digest,
                "prompted": each.arm.prompted,
                "prompt_tokens": sum(wrote.prompt_tokens for wrote in each.written),
                "answer_tokens": sum(wrote.tokens for wrote in each.written),
            }
            for each in found.measured
        ],
        "figures": [_figure(each) for each in found.figures],
        "probes": [_figure(each) for each in found.probes],
        "pairs": [
            {"kind": pair.kind, "slice": pair.slice, "prompt": pair.prompt, "first": pair.first}
            | {"second": pair.second, "log_odds": [round(each, 6) for each in odds]}
            for pair, odds in found.pairs
        ],
        "continued": None if found.continued is None else _continued(found.continued),
        "samples": [_sample(found, at) for at in chosen_samples(found)],
        "notes": list(found.notes),
    }


def chosen_samples(found: Evaluated) -> Sequence[int]:
    """The answers that are shown: those on which arms differ or fail first, at most so many."""
    count = len(found.measured[0].written)
    if not found.scores:
        return range(min(count, MOST_SAMPLES))
    last = found.scores[-1]
    order = sorted(range(count), key=lambda at: (last[at], -abs(last[at] - found.scores[0][at]), at))
    return order[:MOST_SAMPLES]


def cut(text: str) -> str:
    """A text as long as a report holds."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


def _sample(found: Evaluated, at: int) -> dict[str, JSON]:
    item = found.items[at]
    return {
        "line": item.line,
        "slice": item.slice,
        "prompt": cut(item.prompt),
        "true": cut(item.true),
        "answers": [
            {
                "text": cut(one.written[at].text),
                "stopped": one.written[at].stopped,
                "tokens": one.written[at].tokens,
                "score": found.scores[arm][at] if found.scores else None,
            }
            for arm, one in enumerate(found.measured)
        ],
        "nearest_training_row": found.neighbours.get(at),
    }


def _continued(found: Continued) -> dict[str, JSON]:
    """Values and improvements of parent and adapter, in this order."""
    return {
        "parent": found.parent,
        "replayed_rows": found.kept_rows,
        "figures": [_figure(each) for each in found.gained],
        "probes": [_figure(each) for each in found.probes],
        "replayed": [_figure(each) for each in found.kept],
    }


def _figure(figure: Figure) -> dict[str, JSON]:
    return {
        "name": figure.name,
        "slice": figure.slice,
        "rows": figure.rows,
        "higher_is_better": figure.higher_is_better,
        "values": [_estimate(each) for each in figure.estimates],
        "improvements": [_difference(each) for each in figure.improvements],
    }


def _estimate(each: Estimate | None) -> dict[str, JSON] | None:
    if each is None:
        return None
    interval = each.interval
    return {
        "value": each.value,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
    }


def _difference(each: Difference | None) -> dict[str, JSON] | None:
    if each is None:
        return None
    return {
        "value": each.value,
        "low": each.interval.low,
        "high": each.interval.high,
        "detectable": each.detectable,
        "p_value": each.p_value,
        "verdict": each.verdict().value,
    }
