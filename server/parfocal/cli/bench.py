"""`parfocal bench`: measures this machine on random weights, with others beside us in the same run."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .benching.endpoint import Endpoint
from .benching.endpoint_flags import endpoints_in
from .benching.errors import BadWorkload
from .benching.flags import FLAGS
from .benching.notation import lengths_in, ranks_in, sweep_in
from .benching.workload import Workload
from .display import show_json
from .flags import Given, command

if TYPE_CHECKING:
    from .benching.stand import Bench, Setup

_DOC = """Measure how fast this machine serves many adapters, and how fast others do the same work.

Makes a random Llama and random adapters, starts a server of its own, and sends it requests over gRPC:
once with adapters, once with none. Then the server ends; the endpoints answer the same requests, and PEFT
answers them in one mixed batch. To quote figures, take `--repeats 3`. Variables such as PARFOCAL_UNPACK_BYTES
reach the server.

Example: parfocal bench --shape llama-135m --requests 16 --adapters 16
"""
_PLAIN = ("shape", "requests", "adapters", "rank", "new_tokens", "dtype", "warmup", "repeats", "seed")
_LOAD = ("shared_prefix", "zipf", "rate", "slots", "max_requests")


def _bench(given: Given) -> None:
    try:
        workload, endpoints = _workload(given), _endpoints(given)
    except BadWorkload as error:
        raise typer.BadParameter(str(error), param_hint=_flag(error.field or "")) from error
    output, plot = (_writable(given, name) for name in ("output", "plot"))
    if plot is not None and plot.suffix.lower() != ".png":
        raise typer.BadParameter(f"the picture is a PNG; call {plot.name} a .png", param_hint="--plot")
    # Everything below needs numpy, torch or gRPC, which the help must not wait for.
    from .benching.stand import Setup

    cache = given.get("cache") or _default_cache()
    assert isinstance(cache, Path)
    device = str(given.get("device", "auto"))
    setup = Setup(workload, device, cache, not given.get("skip_peft"), endpoints)
    bench = _measured(setup)
    _show(bench, output, plot, as_json=bool(given.get("json")))


def _measured(setup: "Setup") -> "Bench":
    from .benching.stages import stages_shown
    from .benching.stand import measure, stages_of

    # Before the bar appears, and before anything takes time.
    setup.check()
    with stages_shown(stages_of(setup)) as stages:
        return measure(setup, stages)


def _show(bench: "Bench", output: Path | None, plot: Path | None, as_json: bool) -> None:
    import json

    from .benching.document import document
    from .benching.table import show_bench

    if output is not None:
        output.write_text(json.dumps(document(bench), indent=2) + "\n", encoding="utf-8")
    if plot is not None:
        # Drawing takes a second to import, and most benches draw nothing.
        from .benching.picture import draw_bench

        draw_bench(bench, plot)
    if as_json:
        show_json(document(bench))
    else:
        show_bench(bench)


def _workload(given: Given) -> Workload:
    plain = {name: given[name] for name in (*_PLAIN, *_LOAD) if name in given}
    workload = replace(Workload(), **plain)  # type: ignore[arg-type]  # the flags have the fields' types
    if "ranks" in given:
        if "rank" in given:
            raise BadWorkload("rank and ranks are both given; give the one you mean", field="ranks")
        ranks = ranks_in(str(given["ranks"]))
        workload = replace(workload, ranks=ranks, rank=max(ranks))
    if "prompt_tokens" in given:
        shortest, longest = lengths_in(str(given["prompt_tokens"]))
        is_range = shortest != longest
        workload = replace(workload, prompt_tokens=longest, shortest_prompt=shortest if is_range else None)
    return replace(workload, sweep=sweep_in(str(given["sweep"]))) if "sweep" in given else workload


def _endpoints(given: Given) -> tuple[Endpoint, ...]:
    names = ("endpoint", "endpoint_model", "endpoint_base", "endpoint_lora_ids")
    urls, models, base_models, lora_ids = (_texts(given, name) for name in names)
    return endpoints_in(urls, models, base_models, lora_ids)


def _texts(given: Given, name: str) -> list[str]:
    values = given.get(name, [])
    assert isinstance(values, list)
    return values


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


def _default_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "parfocal" / "bench"


bench = command("bench", _DOC, FLAGS, _bench)
