"""A search as one HTML page: trials' losses, all settings side by side, what mattered, and the table."""

from collections.abc import Iterator
from html import escape

from parfocal.training.reports import svg
from parfocal.training.reports.page import whole_page
from parfocal.training.reports.search_plots import loss_curves, settings_and_loss
from parfocal.training.search import Found, Outcome, Space, Trial, shown, words


def search_page(found: Found, space: Space, name: str) -> str:
    """The whole page, which needs nothing else."""
    return whole_page(f"Search for the settings of {name}", _parts(found, space))


def _parts(found: Found, space: Space) -> Iterator[str]:
    ended = ", ".join(f"{count} {how}" for how, count in found.counts().items())
    yield f'<p class="soft">{len(found.trials)} trials ({ended}) in {found.seconds:.0f} s. Each is compared '
    yield "by its lowest loss on the validation rows; the held-out rows are only reported on.</p>"
    best = found.best
    if best is not None:
        yield '<div class="verdicts"><div class="verdict better">'
        yield f"<b>trial {best.number}: loss {best.loss:.4f}</b>{escape(words(best.settings))}</div></div>"
    plots = [
        ("validation loss over the part of each trial's way; dashed: ended early", loss_curves(found)),
        ("what each trial was drawn, and its loss", settings_and_loss(found, space)),
        (
            "how much of the order of losses each explains by itself; few trials tell little",
            _importance(found),
        ),
    ]
    yield '<div class="plots">'
    for caption, plot in plots:
        if plot:
            yield f"<figure><figcaption>{escape(caption)}</figcaption>{plot}</figure>"
    yield f"</div><h2>Trials, the best first</h2>{_table(found, space)}"
    searched = "; ".join(f"{name}: {dimension}" for name, dimension in space.items())
    yield f'<p class="soft">Searched: {escape(searched)}</p>'


def _importance(found: Found) -> str:
    rows = [svg.Bar(name, share, f"{share:.0%}", "adapter") for name, share in found.importance.items()]
    return svg.bars(rows, title="importance of each setting") if rows else ""


def _table(found: Found, space: Space) -> str:
    head = ["trial", "loss", *space, "steps", "seconds", "ended"]
    order = sorted(
        found.trials,
        key=lambda each: (
            each.outcome is not Outcome.FINISHED,
            float("inf") if each.loss is None else each.loss,
        ),
    )
    rows = "".join(_row(each, space) for each in order)
    cells = "".join(f'<th class="n">{escape(each)}</th>' for each in head)
    return f"<table><tr>{cells}</tr>{rows}</table>"


def _row(trial: Trial, space: Space) -> str:
    cells = [
        str(trial.number),
        "" if trial.loss is None else f"{trial.loss:.4f}",
        *(shown(trial.settings.get(name, "")) for name in space),
        str(trial.curve[-1].step) if trial.curve else "0",
        f"{trial.seconds:.1f}",
        trial.outcome.value + (f": {trial.reason}" if trial.reason else ""),
    ]
    shown_cells = "".join(f'<td class="n">{escape(each)}</td>' for each in cells)
    return f"<tr>{shown_cells}</tr>"
