"""`parfocal bench`: measures this machine on random weights, with others beside us in the same run."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from parfocal.bench.errors import BadWorkload
from parfocal.bench.flag_values import against_given, endpoints_given, profile_given, workload_in
from parfocal.bench.flags import FLAGS
from parfocal.cli.display import show_json
from parfocal.cli.flags import Given, command

if TYPE_CHECKING:
    from parfocal.bench.document import Document
    from parfocal.bench.stand import Bench, Setup

_DOC = """Measure how fast this machine serves many adapters, and how fast others do the same work.

Makes a random Llama and random adapters, starts a server of its own, and sends it requests over gRPC:
once with adapters, once with none. Then the server ends; the endpoints answer the same requests, and PEFT
answers them in one mixed batch. With `--profile` there is no server: it runs the engine's steps and tells
what they cost. To quote figures, take `--repeats 3`. Variables such as PARFOCAL_UNPACK_BYTES reach the
server.

Example: parfocal bench --shape llama-135m --requests 16 --adapters 16
"""


@dataclass(frozen=True, slots=True)
class _Shown:
    """Where the result goes."""

    output: Path | None
    plot: Path | None
    as_json: bool

    def write(self, document: "Document") -> None:
        import json

        if self.output is not None:
            self.output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        if self.as_json:
            show_json(document)


def _bench(given: Given) -> None:
    try:
        workload, profile = workload_in(given), profile_given(given)
        endpoints, against = endpoints_given(given), against_given(given, workload)
    except BadWorkload as error:
        raise typer.BadParameter(str(error), param_hint=_flag(error.field or "")) from error
    output, plot = (_writable(given, name) for name in ("output", "plot"))
    if plot is not None and plot.suffix.lower() != ".png":
        raise typer.BadParameter(f"the picture is a PNG; call {plot.name} a .png", param_hint="--plot")
    # Everything below needs numpy, torch or gRPC, which the help must not wait for.
    from parfocal.bench.stand import Setup

    setup = Setup(
        workload,
        device=str(given.get("device", "auto")),
        cache=_cache(given),
        with_peft=not given.get("skip_peft"),
        endpoints=endpoints,
        against=against,
        with_base=not given.get("skip_base"),
    )
    shown = _Shown(output, plot, bool(given.get("json")))
    if profile is None:
        _show(_measured(setup), shown)
    else:
        _profile(profile, setup, shown)


def _measured(setup: "Setup") -> "Bench":
    from parfocal.bench.stages import stages_shown
    from parfocal.bench.stand import measure, stages_of

    # Before the bar appears, and before anything takes time.
    setup.check()
    with stages_shown(stages_of(setup)) as stages:
        return measure(setup, stages)


def _show(bench: "Bench", shown: _Shown) -> None:
    from parfocal.bench.document import document
    from parfocal.bench.table import show_bench

    shown.write(document(bench))
    if shown.plot is not None:
        # Drawing takes a second to import, and most benches draw nothing.
        from parfocal.bench.picture import draw_bench

        draw_bench(bench, shown.plot)
    if not shown.as_json:
        show_bench(bench)


def _profile(kind: str, setup: "Setup", shown: _Shown) -> None:
    import logging

    # It says at its import what nobody who runs a profile can use.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from parfocal.bench.profiles import PROFILES

    setup.check()
    profile = PROFILES[kind](setup)
    shown.write(profile.document())
    if shown.plot is not None:
        profile.draw(shown.plot)
    if not shown.as_json:
        profile.show()


def _writable(given: Given, name: str) -> Path | None:
    """Returns where to write; a place that cannot be is refused before minutes of measuring."""
    path = given.get(name)
    if path is None:
        return None
    assert isinstance(path, Path)
    if path.is_dir() or not path.parent.is_dir():
        fault = "is a folder; name a file" if path.is_dir() else f"needs the folder {path.parent}; make it"
        raise typer.BadParameter(f"{path} {fault}", param_hint=_flag(name))
    return path


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _cache(given: Given) -> Path:
    cache = given.get("cache")
    if isinstance(cache, Path):
        return cache
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "parfocal" / "bench"


bench = command("bench", _DOC, FLAGS, _bench)
