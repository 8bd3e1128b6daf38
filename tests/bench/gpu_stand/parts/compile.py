"""Compiles the engine's kernels for later parts, in parallel, while the tests run. Measures nothing.

Each way to serve gets an engine on the first layers of the stand's shape: it tries its kernels, captures its
graphs and answers one prompt for each number of rows. What it compiles stays in the caches on disk.
"""

import contextlib
import multiprocessing
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from bench.gpu_stand.device_base import random_bases
from bench.gpu_stand.notes import Notes
from bench.gpu_stand.setting import Setting
from fakes.engine.folder_source import FolderSource
from oracle.engines import run_all
from parfocal.bench.made.adapters import write_adapter
from parfocal.bench.made.base import write_settings
from parfocal.bench.workloads.shapes import Shape, shape_named
from parfocal.engine import AdapterKey, EngineConfig, Request, Stop
from parfocal.engine.loading import build_engine, load_base

_LAYERS = 2
_BLOCKS = 4
# Each has a CUDA context of its own, and the tests run beside.
_WAYS: Mapping[str, Mapping[str, object]] = {
    "usual": {},
    "deterministic": {"deterministic": True},
    "int8": {"adapter_dtype": "int8"},
}


def measure(setting: Setting, notes: Notes) -> None:
    """Compiles for every way at once; in a dry run one after the other, in this process."""
    shape = replace(shape_named(setting.scale.shape), layers=_LAYERS)
    base = setting.scratch / "to-compile"
    base.mkdir()
    write_settings(shape, base)
    adapter = write_adapter(shape, setting.scale.mixed.rank, setting.scratch / "to-compile-adapter", 0)
    notes.begin(f"Compiling for {', '.join(_WAYS)}")
    if setting.is_dry:
        taken = {name: compile_for(setting, shape, base, adapter, name) for name in list(_WAYS)[:1]}
    else:
        # A fork would share what CUDA has of this process.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(len(_WAYS), mp_context=context) as pool:
            waiting = {pool.submit(compile_for, setting, shape, base, adapter, name): name for name in _WAYS}
            taken = {waiting[done]: done.result() for done in as_completed(waiting)}
    notes.sum_up(seconds=taken)


def compile_for(setting: Setting, shape: Shape, base: Path, adapter: Path, way: str) -> float:
    """Runs steps of one way to serve; returns the seconds."""
    begun, scale = time.monotonic(), setting.scale
    most = max(scale.rows)
    prompt = scale.mixed.prompt_tokens
    block = EngineConfig().block_tokens
    blocks = most * (-(-prompt // block) + _BLOCKS)
    usual = EngineConfig(
        device=scale.device,
        dtype=scale.mixed.dtype,
        kernels=scale.kernels,
        slots=2,
        max_rank=scale.mixed.rank,
        max_requests=most,
        kv_cache_bytes=blocks * block * shape.kv_values() * scale.kv_width,
    )
    config = replace(usual, **_WAYS[way])  # type: ignore[arg-type]  # fields of EngineConfig by name
    with random_bases():
        resident = load_base(base, config)
    engine = build_engine(resident, config, FolderSource({"one": adapter, "other": adapter}))
    with contextlib.closing(engine):
        for rows in scale.rows:
            for names in ([""], ["one"], ["one", "other"]):
                done = run_all(engine, [_request(rows, row, names, prompt) for row in range(rows)])
                if done.errors:
                    raise next(iter(done.errors.values()))
    return time.monotonic() - begun


def _request(rows: int, row: int, names: list[str], prompt: int) -> Request:
    name = names[row % len(names)]
    ids = tuple((row + token) % 200 for token in range(prompt))
    stop = Stop(max_tokens=3, ignore_eos=True)
    return Request(f"{rows}-{'-'.join(names)}-{row}", ids, AdapterKey(name) if name else None, stop=stop)
