"""How fast and in how much memory `sft` trains, beside plain TRL on the same rows, base and settings.

    PYTHONPATH=tests .venv/bin/python -m bench.training FOLDER --pairs 3 --result FILE.json

Each pair trains once with us and once with TRL's SFTTrainer and peft, in turn and each in a process of its
own: the same rows in the same tokens, the 4-bit base in the same dtype, rank 16 on all linears, AdamW, linear
decay, no packing, no gradient checkpointing, batches of similar lengths. Speed is learnt and read tokens
without padding over the time from the first step's beginning to the last one's end; memory is the process's
resident peak until then, everything it loaded included.

`--busy` instead trains with us on a quiet machine and beside two processes that keep a core busy each, in
turn.

Run it where nothing else runs; a FILE that is there already is added to, so pairs can be taken one by one. It
keeps random bases in FOLDER.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer, PrinterCallback, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from bench.busy_cores import busy_loops
from parfocal.bench.made import cached_base
from parfocal.bench.workloads.shapes import shape_named
from parfocal.engine.loading import Loading, load_quantised
from parfocal.registry import locate_base
from parfocal.training import SilentWatcher, StepDone, TrainConfig, train
from parfocal.training.data import prepare
from parfocal.training.examples import datasets, office_memos
from parfocal.training.methods import training_device
from parfocal.training.runs import tool_versions

_RANK = 16
_RATE = 1e-3
_RUNS = {"tiny": (8, 60), "llama-135m": (4, 12)}  # base: rows in a step, steps
_ROWS = 400
_OURS, _THEIRS = "parfocal", "trl"


class Measured(Exception):
    """Ends a run once its steps are measured: what follows them is not compared."""


class _Steps(SilentWatcher):
    """Notes our speed and memory after the last step."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    def step(self, done: StepDone) -> None:
        if done.step == done.steps:
            self.found = _found(done.tokens_per_second, done.loss)
            raise Measured


class _TheirSteps(TrainerCallback):
    """Notes the same of TRL's trainer."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}
        self._began = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._began = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == state.max_steps and "loss" in kwargs["logs"]:
            speed = state.num_input_tokens_seen / (time.monotonic() - self._began)
            self.found = _found(float(speed), float(kwargs["logs"]["loss"]))


def _found(speed: float, loss: float) -> dict[str, float]:
    return {"tokens_per_second": speed, "peak_mib": _peak_mib(), "loss": loss}


def ours(folder: Path, base: str) -> dict[str, float]:
    """Trains as `parfocal train --method sft` does."""
    watcher = _Steps()
    config = config_of(folder, base)
    shutil.rmtree(folder / "run", ignore_errors=True)
    try:
        train(config, watcher)
    except Measured:
        return watcher.found
    raise SystemExit("the run never came to its last step")


def config_of(folder: Path, base: str) -> TrainConfig:
    """What ours is told; theirs has the same rows from it."""
    rows, steps = _RUNS[base]
    return TrainConfig(
        data=folder / "rows.jsonl",
        held_out=folder / "held-out.jsonl",
        name="bench/training",
        base=_base(folder, base),
        output=folder / "run",
        rendering="raw",
        rank=_RANK,
        learning_rate=_RATE,
        schedule="linear",
        warmup_steps=0,
        steps=steps,
        batch_size=rows,
        evaluations=1,
        keep="last",
    )


def theirs(folder: Path, base: str, dtype: torch.dtype) -> dict[str, float]:
    """Trains with TRL and peft as their guides show, on the base that ours trains on."""
    rows, steps = _RUNS[base]
    path = locate_base(_base(folder, base), weights=True).folder
    model: Any = load_quantised(path, Loading(dtype, torch.device("cpu"), "sdpa", exact=False))
    watching = _TheirSteps()
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder / "trl"),
            max_steps=steps,
            per_device_train_batch_size=rows,
            learning_rate=_RATE,
            lr_scheduler_type="linear",
            optim="adamw_torch",
            weight_decay=0.0,
            max_length=None,
            packing=False,
            gradient_checkpointing=False,
            train_sampling_strategy="group_by_length",
            bf16=False,
            use_cpu=True,
            include_num_input_tokens_seen="non_padding",
            logging_steps=steps,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=_tokens(config_of(folder, base), path),
        processing_class=AutoTokenizer.from_pretrained(path),
        peft_config=LoraConfig(
            r=_RANK, lora_alpha=2 * _RANK, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
        callbacks=[watching],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return watching.found


def _tokens(config: TrainConfig, base: Path) -> Dataset:
    """The rows as ours renders them, in TRL's columns."""
    samples: Any = prepare(config, base).train
    return Dataset.from_dict(
        {
            "input_ids": [sample.ids.tolist() for sample in samples],
            "completion_mask": [[int(label != -100) for label in sample.labels] for sample in samples],
        }
    )


def _base(folder: Path, name: str) -> str:
    return name if name == "tiny" else str(cached_base(shape_named(name), folder / "bases"))


def _peak_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def write_rows(folder: Path) -> None:
    """The memos of the examples, about 165 tokens each."""
    made = datasets(office_memos, training=_ROWS, held_out=4, seed=2)
    for name, rows in (("rows", made.training), ("held-out", made.held_out)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, "utf-8")


def measured(folder: Path, base: str, who: str) -> dict[str, float]:
    """One training in a process of its own."""
    command = [sys.executable, "-m", "bench.training", str(folder), "--bases", base, "--one", who]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    speed, memory = found["tokens_per_second"], found["peak_mib"]
    print(f"{base:<12}{who:<10}{speed:>9.0f} tokens/s{memory:>8.0f} MiB", flush=True)
    return found


def pair(folder: Path, base: str, number: int) -> dict[str, Any]:
    """One with us and one with TRL; who is first alternates."""
    order = (_OURS, _THEIRS) if number % 2 == 0 else (_THEIRS, _OURS)
    found = {who: measured(folder, base, who) for who in order}
    return {"base": base, **found, **_ratios(found[_OURS], found[_THEIRS])}


def busy(folder: Path, base: str, number: int) -> dict[str, Any]:
    """One on a quiet machine and one beside two busy loops; which is first alternates."""
    found = {}
    for scene in ("quiet", "beside two loops")[:: 1 if number % 2 == 0 else -1]:
        with busy_loops(2) if scene != "quiet" else nullcontext():
            found[scene] = measured(folder, base, _OURS)
    share = found["beside two loops"]["tokens_per_second"] / found["quiet"]["tokens_per_second"]
    return {"base": base, **found, "of_quiet_speed": share}


def _ratios(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    return {
        "speed_ratio": ours["tokens_per_second"] / theirs["tokens_per_second"],
        "memory_ratio": ours["peak_mib"] / theirs["peak_mib"],
    }


@contextmanager
def added_to(path: Path | None) -> Iterator[dict[str, Any]]:
    """What `path` holds, to be added to, and written back."""
    content: dict[str, Any] = {"machine": _machine(), "tools": tool_versions(), "pairs": [], "busy": []}
    if path is not None and path.is_file():
        content = json.loads(path.read_text("utf-8"))
    try:
        yield content
    finally:
        content["medians"] = dict(_medians(content))
        if path is not None:
            path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def _medians(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    for base in _RUNS:
        found: dict[str, float] = {}
        for kind, name in (("pairs", "speed_ratio"), ("pairs", "memory_ratio"), ("busy", "of_quiet_speed")):
            values = [each[name] for each in content[kind] if each["base"] == base]
            if values:
                found[name] = statistics.median(values)
        yield base, found


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown CPU")
    return f"{model}, {os.cpu_count()} cores; {platform.platform()}"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bases", nargs="+", choices=tuple(_RUNS), default=tuple(_RUNS))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--result", type=Path)
    parser.add_argument("--one", choices=(_OURS, _THEIRS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.one == _OURS:
        print(json.dumps(ours(given.folder, given.bases[0])))
        return
    if given.one == _THEIRS:
        print(json.dumps(theirs(given.folder, given.bases[0], our_dtype())))
        return
    write_rows(given.folder)
    with added_to(given.result) as content:
        for number in range(given.pairs):
            for base in given.bases:
                kind, measure = ("busy", busy) if given.busy else ("pairs", pair)
                content[kind].append(measure(given.folder, base, number + len(content[kind])))
    print(json.dumps(content["medians"], indent=2))


def our_dtype() -> torch.dtype:
    """What ours trains in here."""
    return training_device(TrainConfig(data=Path("rows.jsonl"), name="bench/training")).dtype


if __name__ == "__main__":
    main()
