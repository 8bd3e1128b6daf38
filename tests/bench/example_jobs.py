"""How well the embedded base learns the three example jobs, and in what time; run it on two free cores.

    python tests/bench/example_jobs.py --seeds 1 2 3

For each job and seed: trains on rows of that seed by the job's recipe, then answers 200 held-out rows and 200
of new wording by adapter and by base, greedily, on the engine that serves. Prints the seconds of training and
each task metric with its Wilson interval, and at the end all seeds together.
"""

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.constraints.engine_stand import EngineStand
from parfocal.engine import AdapterKey, Completion, EngineConfig, Request, Stop
from parfocal.engine.chats import Chat, plain_messages
from parfocal.registry import locate_base, open_registry
from parfocal.server.requests import PromptEncoder, Tokenizer
from parfocal.training import SilentWatcher, TrainConfig, train
from parfocal.training.examples import JOBS, RECIPES, Datasets, Recipe, Row, datasets
from parfocal.training.intervals import wilson
from parfocal.training.metrics import Answer, metric_named

METRICS = {
    "emails": ("json",),
    "memos": ("parfocal.training.examples:memo_style", "exact"),
    "tickets": ("label",),
}
_MOST_TOKENS = 220
_AT_ONCE = 32
_KEY = AdapterKey("sha256:example", "bench/example", 1)


@dataclass(frozen=True, slots=True)
class Share:
    """Of `rows` answers, how many were right."""

    right: int
    rows: int

    def __add__(self, other: "Share") -> "Share":
        return Share(self.right + other.right, self.rows + other.rows)

    def __str__(self) -> str:
        interval = wilson(self.right, self.rows)
        rate = self.right / self.rows
        return f"{self.right:>4} of {self.rows:<5}{rate:6.1%}  [{interval.low:.1%}, {interval.high:.1%}]"


def measure(job: str, seed: int, rows: int) -> tuple[float, dict[str, Share]]:
    """Trains and asks: the seconds of training, and each metric's share by its name and who answered what."""
    recipe = RECIPES[job]
    data = datasets(JOBS[job], recipe.rows, rows, seed)
    found: dict[str, Share] = {}
    with tempfile.TemporaryDirectory() as folder:
        seconds, adapter = _trained(data, recipe, seed, Path(folder))
        for who, key in (("adapter", _KEY), ("base", None)):
            for what, asked in (("held out", data.held_out), ("new wording", data.new_wording)):
                answers = _answers(adapter, asked, key)
                for name in METRICS[job]:
                    metric = metric_named(name)
                    right = sum(metric.scores(answers).means[metric.leading])
                    found[f"{who}, {what}, {metric.leading}"] = Share(round(right), len(asked))
    return seconds, found


def _trained(data: Datasets, recipe: Recipe, seed: int, folder: Path) -> tuple[float, Path]:
    config = TrainConfig(
        data=_write(folder / "rows.jsonl", data.training),
        held_out=_write(folder / "held-out.jsonl", data.held_out[:20]),
        name="bench/example",
        registry=str(folder / "registry"),
        output=folder / "run",
        rendering="chat",
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        evaluations=1,
        keep="last",
        seed=seed,
    )
    result = train(config, SilentWatcher())
    opened = open_registry(str(config.registry))
    return result.seconds, opened.materialise(opened.resolve(config.name).digest)


def _write(path: Path, rows: Sequence[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def _answers(adapter: Path, rows: Sequence[Row], key: AdapterKey | None) -> list[Answer]:
    config = EngineConfig(device="cpu", max_requests=_AT_ONCE, dtype="float32")
    stand = EngineStand(locate_base("tiny", weights=True).folder, {_KEY.digest: adapter}, config)
    tokenizer = stand.base.tokenizer
    longest = max(map(len, tokenizer.get_vocab()))
    encoder = PromptEncoder(cast(Tokenizer, tokenizer), stand.base.info.context_tokens, longest)
    requests = [
        Request(
            str(number),
            encoder.chat(Chat(plain_messages([("user", row["prompt"])]))),
            key,
            stop=Stop(max_tokens=_MOST_TOKENS),
        )
        for number, row in enumerate(rows)
    ]
    items, _ = stand.run(requests)
    stand.close()
    done = [item for item in items if isinstance(item, Completion)]
    assert len(done) == len(items), [item for item in items if isinstance(item, Exception)]
    return [Answer(row["prompt"], item.text, row["completion"]) for row, item in zip(rows, done, strict=True)]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", nargs="+", choices=tuple(JOBS), default=tuple(JOBS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--rows", type=int, default=200, help="rows of each kind that are asked")
    given = parser.parse_args()
    for job in given.jobs:
        together: dict[str, Share] = defaultdict(lambda: Share(0, 0))
        for seed in given.seeds:
            seconds, found = measure(job, seed, given.rows)
            print(f"{job}, seed {seed}: trained in {seconds:.0f} s", flush=True)
            for name, share in found.items():
                print(f"  {name:<36}{share}", flush=True)
                together[name] += share
        for name, share in together.items() if len(given.seeds) > 1 else ():
            print(f"{job}, all seeds: {name:<36}{share}", flush=True)


if __name__ == "__main__":
    main()
