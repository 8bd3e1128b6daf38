"""Looks at what lm-eval has found: an adapter that changes nothing would have the base's scores.

python scores.py FOLDER: with the samples of two models in it.
"""

import json
import sys
from pathlib import Path
from typing import Any


def log_likelihoods(folder: Path) -> dict[str, list[float]]:
    """Each model's log-likelihoods of all choices, in their order."""
    found: dict[str, list[float]] = {}
    for path in sorted(folder.rglob("samples_parcels_choice_*.jsonl")):
        rows: list[Any] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        rows.sort(key=lambda row: row["doc_id"])
        found[path.parent.name] = [float(each[0]) for row in rows for each in row["filtered_resps"]]
    return found


def main(folder: Path) -> None:
    """Fails where there are not two models, or where they agree."""
    first, second = log_likelihoods(folder).values()
    assert len(first) == len(second) == 8, (first, second)
    assert all(value < 0 for value in first + second)
    assert first != second, "the adapter changes no log-likelihood"
    print("lm-eval: both models were scored, and the adapter's scores are its own")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
