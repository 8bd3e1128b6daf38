"""`parfocal bench`: measures this machine on random weights, with PEFT beside us in the same run."""

import os
from pathlib import Path
from typing import Annotated

import typer

from .benching.shapes import SHAPES
from .benching.workload import Workload
from .display import show_json
from .options import JsonOption

_DEFAULT = Workload()


def bench(
    shape: Annotated[
        str, typer.Option("--shape", metavar="|".join(SHAPES), help="The size of the random Llama.")
    ] = _DEFAULT.shape,
    requests: Annotated[
        int, typer.Option("--requests", min=1, help="Requests sent at once.")
    ] = _DEFAULT.requests,
    adapters: Annotated[
        int, typer.Option("--adapters", min=1, help="Random adapters; requests name them in turn.")
    ] = _DEFAULT.adapters,
    rank: Annotated[int, typer.Option("--rank", min=1, help="The rank of every adapter.")] = _DEFAULT.rank,
    prompt_tokens: Annotated[
        int, typer.Option("--prompt-tokens", min=1, help="The length of every prompt.")
    ] = _DEFAULT.prompt_tokens,
    new_tokens: Annotated[
        int, typer.Option("--new-tokens", min=1, help="The length of every answer.")
    ] = _DEFAULT.new_tokens,
    dtype: Annotated[
        str,
        typer.Option(
            "--dtype", metavar="auto|float32|bfloat16|float16", help="As `parfocal serve` takes it."
        ),
    ] = _DEFAULT.dtype,
    device: Annotated[str, typer.Option("--device", help="As `parfocal serve` takes it.")] = "auto",
    warmup: Annotated[
        int, typer.Option("--warmup", min=0, help="Untimed rounds before the timed ones.")
    ] = _DEFAULT.warmup,
    repeats: Annotated[
        int, typer.Option("--repeats", min=1, help="Timed rounds; the median counts.")
    ] = _DEFAULT.repeats,
    seed: Annotated[int, typer.Option("--seed", help="Draws other prompts and adapters.")] = _DEFAULT.seed,
    skip_peft: Annotated[bool, typer.Option("--skip-peft", help="Measure us alone.")] = False,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache", metavar="FOLDER", help="Keeps random bases. Default: ~/.cache/parfocal/bench."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the JSON here too.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how fast this machine serves many adapters, and how fast PEFT does the same work.

    Makes a random Llama and random adapters, starts a server of its own, and sends it requests over gRPC:
    once with the adapters in turn, once with none. Then the server ends, and PEFT answers the same requests
    in one mixed batch. To quote figures, take `--repeats 3`. Variables such as PARFOCAL_SLOTS reach it.

    Example: `parfocal bench --shape llama-135m --requests 16 --adapters 16`
    """
    workload = Workload(
        shape, requests, adapters, rank, prompt_tokens, new_tokens, dtype, warmup, repeats, seed
    )
    _measure_and_show(workload, device, cache or _default_cache(), not skip_peft, output, as_json)


def _measure_and_show(
    workload: Workload, device: str, cache: Path, with_peft: bool, output: Path | None, as_json: bool
) -> None:
    # Everything below needs numpy, torch or gRPC, which the help must not wait for.
    import json

    from .benching.document import document
    from .benching.stages import stages_shown
    from .benching.stand import Setup, measure, stages_of
    from .benching.table import show_bench

    workload.check()
    setup = Setup(workload, device, cache, with_peft)
    with stages_shown(stages_of(setup)) as stages:
        measured = measure(setup, stages)
    if output is not None:
        output.write_text(json.dumps(document(measured), indent=2) + "\n", encoding="utf-8")
    if as_json:
        show_json(document(measured))
    else:
        show_bench(measured)


def _default_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "parfocal" / "bench"
