"""What an adapter of `tiny` keeps of its parent's job when it learns another, with rows replayed and without.

    python tests/bench/replay.py --seeds 1 2 --shares 0 0.05 0.25

For each seed: a parent learns e-mails to JSON; children go on from it with tickets, each with its share of
the parent's rows replayed. All answer rows of both jobs that none has learnt, in one batch of the engine
that serves. Prints how many answers are right, with Wilson intervals, and the loss.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from parfocal.registry import open_registry
from parfocal.training import EvalConfig, TrainConfig, evaluate_versions, train
from parfocal.training.examples import support_emails, support_tickets
from parfocal.training.figures import Evaluated, interval_text, value_text

_OLD_ROWS, _NEW_ROWS, _ASKED = 2000, 1600, 100


def _written(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _settings(folder: Path, seed: int, steps: int) -> TrainConfig:
    return TrainConfig(
        data=folder / "old.jsonl",
        name="bench/parent",
        registry=str(folder / "registry"),
        output=folder / "parent",
        rendering="chat",
        steps=steps,
        learning_rate=5e-3,
        seed=seed,
        evaluations=1,
        keep="last",
        answers=0,
        probes=False,
    )


def measure(folder: Path, seed: int, shares: Sequence[float], steps: tuple[int, int]) -> None:
    """Trains a parent and a child for each share, and prints what all of them do on both jobs."""
    old = [dict(row) for row in support_emails(_OLD_ROWS + _ASKED, seed=seed)]
    new = [dict(row) for row in support_tickets(_NEW_ROWS + _ASKED, seed=seed)]
    _written(folder / "old.jsonl", old[:_OLD_ROWS])
    asked = {
        "json": _written(folder / "old-asked.jsonl", old[_OLD_ROWS:]),
        "label": _written(folder / "new-asked.jsonl", new[_NEW_ROWS:]),
    }
    parent = _settings(folder, seed, steps[0])
    train(parent)
    data = _written(folder / "new.jsonl", new[:_NEW_ROWS])
    for share in shares:
        settings = parent.to_json() | {
            "data": str(data),
            "name": f"bench/replay-{round(100 * share)}",
            "parent": "bench/parent@1",
            "replay": f"{folder / 'old.jsonl'}:{share}" if share else None,
            "output": str(folder / f"child-{share}"),
            "steps": steps[1],
        }
        train(TrainConfig.from_json(settings))
    names = ["bench/parent", *(f"bench/replay-{round(100 * share)}" for share in shares)]
    for metric, file in asked.items():
        config = EvalConfig(tuple(names), file, (metric,), answers=_ASKED, probes=False)
        found = evaluate_versions(config, open_registry(str(folder / "registry")))
        print(f"seed {seed}, {'the parent' if metric == 'json' else 'the new'} job", flush=True)
        _tell(found.evaluated)


def _tell(found: Evaluated) -> None:
    figures = {each.name: each for each in found.figures if not each.slice}
    for at, measured in enumerate(found.measured):
        loss, right = figures["loss"].estimate(at), figures[found.metric].estimate(at)
        words = f"{value_text(found.metric, right):>7} [{interval_text(found.metric, right)}]"
        print(f"  {measured.arm.title:<22}{words:<24} loss {loss.value:.4f}", flush=True)


def main() -> None:
    """Measures seed after seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.05, 0.25])
    parser.add_argument("--steps", type=int, nargs=2, default=(150, 80), metavar=("PARENT", "CHILD"))
    given = parser.parse_args()
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), seed, given.shares, tuple(given.steps))


if __name__ == "__main__":
    main()
