"""`parfocal demo`: the whole life of an adapter, from data to a hot swap, on a laptop."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parfocal.cli.display import say
from parfocal.engine import quick_imports

if TYPE_CHECKING:
    from parfocal.cli.demonstration import Tour

_FAILED = "the demo failed; see the lines above and server.log in its folder"
_ENOUGH = 0.9
_TOO_MUCH = 0.05


def demo(
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="Where to work: new or empty. Default: a new one."),
    ] = None,
) -> None:
    """See the whole life of an adapter in three minutes.

    Trains two adapters on the embedded base, serves both in one batch beside the base, and swaps a version
    while requests run. Needs no network and no GPU.

    Example: parfocal demo --folder /tmp/parfocal
    """
    from parfocal.cli.demonstration import Stage

    place = _empty_folder(folder)
    stage = Stage()
    stage.say("Parfocal: one base stays in focus while adapters swap, like lenses on a camera.", style="bold")
    with stage.console.status("Loading the libraries"), quick_imports():
        from parfocal.cli.demonstration import StepBar, Tour, full_lessons
    tour = Tour(stage, place, StepBar(stage.console), full_lessons())
    tour.train()
    if not _serve(tour, place):
        say(f"parfocal: {_FAILED}", err=True)
        raise typer.Exit(1)
    tour.farewell()


def _empty_folder(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="parfocal-demo-"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise typer.BadParameter(f"{folder} is not an empty folder", param_hint="--folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _serve(tour: "Tour", place: Path) -> bool:
    """Shows what needs a server; returns whether everything worked."""
    from parfocal.bench.servers import server_process
    from parfocal.cli.demonstration import metrics_url

    log = place / "server.log"
    settings = {
        "base": "tiny",
        "registry": str(place / "registry"),
        "grpc_address": "127.0.0.1:0",
        "http_address": "127.0.0.1:0",
        "metrics_address": "127.0.0.1:0",
    }
    with server_process(settings, log) as server:
        address = server.address
        tour.point_aliases(address)
        tour.mix(address)
        scores = tour.score(address)
        swapped = tour.swap(address)
        tour.watch_metrics(metrics_url(log))
    return swapped and scores[0].adapter >= _ENOUGH and all(score.base <= _TOO_MUCH for score in scores)
