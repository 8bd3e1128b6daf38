"""`parfocal bench`: measures this machine on random weights, with other servers in the same run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from parfocal.bench import BadWorkload
from parfocal.cli.benching import FLAGS, against_given, endpoints_given, profile_given, workload_in
from parfocal.cli.display import say, show_json, show_section
from parfocal.cli.flags import Given, command
from parfocal.engine import quick_imports
from parfocal.registry.disk import cache_home

if TYPE_CHECKING:
    from parfocal.bench import Additions, BatchRival
    from parfocal.bench.profiles import Profile
    from parfocal.bench.reports import Document, Section
    from parfocal.bench.stand import Bench, Setup

_DOC = """Measure how fast this machine serves many adapters, and how fast others do the same work.

Makes a random Llama and random adapters, starts a server of its own, and sends it requests over gRPC:
once with adapters, once with none. Then the server ends; from a checkout, the endpoints answer the same
requests, and PEFT answers them in one mixed batch. With `--profile` there is no server: it runs the
engine's steps and tells what they cost. To quote figures, take `--repeats 3`. Variables such as
PARFOCAL_UNPACK_BYTES reach the server.

Example: parfocal bench --shape llama-135m --requests 16 --adapters 16
"""


@dataclass(frozen=True, slots=True)
class _Shown:
    """Where the result goes."""

    output: Path | None
    plot: Path | None
    as_json: bool

    def show(self, found: "Bench | Profile", document: "Document", sections: "Sequence[Section]") -> None:
        if self.output is not None:
            self.output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        if self.plot is not None:
            _additions("--plot").draw(found, self.plot)
        if self.as_json:
            show_json(document)
            return
        for section in sections:
            show_section(section.title, section.rows, section.headings)


def _bench(given: Given) -> None:
    try:
        workload, profile = workload_in(given), profile_given(given)
        endpoints, against = endpoints_given(given), against_given(given, workload)
    except BadWorkload as error:
        raise typer.BadParameter(str(error), param_hint=_flag(error.field or "")) from error
    shown = _Shown(_writable(given, "output"), _picture(given), bool(given.get("json")))
    # Everything below needs numpy, torch or gRPC, which the help must not wait for.
    with quick_imports():
        from parfocal.bench.stand import Setup

    setup = Setup(
        workload,
        device=str(given.get("device", "auto")),
        cache=_cache(given),
        peft=None if given.get("skip_peft") or profile else _peft(),
        endpoints=endpoints,
        against=against,
        with_base=not given.get("skip_base"),
    )
    # Before a bar appears and anything takes time.
    setup.check()
    if profile is None:
        _measure(setup, shown)
    else:
        _profile(profile, setup, shown)


def _measure(setup: "Setup", shown: _Shown) -> None:
    from parfocal.bench.load import stages_shown
    from parfocal.bench.reports import bench_sections, document
    from parfocal.bench.stand import measure, stages_of

    with stages_shown(stages_of(setup)) as stages:
        bench = measure(setup, stages)
    shown.show(bench, document(bench), bench_sections(bench))


def _profile(kind: str, setup: "Setup", shown: _Shown) -> None:
    from parfocal.bench.profiles import PROFILES

    profile = PROFILES[kind](setup)
    shown.show(profile, profile.document(), profile.sections())


def _additions(what: str) -> "Additions":
    from parfocal.bench import additions_for

    return additions_for(what)


def _peft() -> "BatchRival | None":
    """PEFT if it can be measured; otherwise prints one line that says why not."""
    from parfocal.bench import additions

    found = additions()
    if found is None:
        say("skipping PEFT: only a checkout, with its tests/bench, can measure it", err=True)
        return None
    return found.peft()


def _picture(given: Given) -> Path | None:
    """Where to draw; raises CheckoutMissing now, not after minutes of measuring."""
    path = _writable(given, "plot")
    if path is None:
        return None
    if path.suffix.lower() != ".png":
        raise typer.BadParameter(f"the picture is a PNG; call {path.name} a .png", param_hint="--plot")
    _additions("--plot")
    return path


def _writable(given: Given, name: str) -> Path | None:
    """Where to write; refuses an impossible path before minutes of measuring."""
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
    return cache_home() / "bench"


bench = command("bench", _DOC, FLAGS, _bench)
