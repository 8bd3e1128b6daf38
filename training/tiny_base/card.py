"""Writes the model card (README.md) of a base folder: card.md with the numbers of its pretraining.json."""

import json
from pathlib import Path
from typing import Any


def write_card(folder: Path) -> None:
    """Writes README.md beside pretraining.json."""
    report = json.loads((folder / "pretraining.json").read_text(encoding="utf-8"))
    settings, history, overall = report["settings"], report["history"], report["held_out"]["all"]
    text = (
        Path(__file__)
        .with_name("card.md")
        .read_text(encoding="utf-8")
        .format(
            parameters=report["parameters"] / 1e6,
            tasks=len(report["held_out"]) - 1,
            steps=settings["steps"],
            polish=settings["polish_steps"],
            steps_plain=settings["steps"],
            seed=settings["seed"],
            tokens=history["tokens"],
            minutes=history["seconds"] / 60,
            curve="\n".join(_curve_row(point) for point in history["points"]),
            loss=overall["loss"],
            documents=overall["documents"],
            probes="\n".join(
                _probe_row(task, score, report["known_wording"].get(task))
                for task, score in report["held_out"].items()
            ),
            known_loss=report["known_wording"]["all"]["loss"],
            known=report["known_wording"]["all"]["documents"],
            **report["tools"],
            **settings["shape"],
        )
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _curve_row(point: dict[str, Any]) -> str:
    return (
        f"| {point['step']:,} | {point['tokens']:,} | {point['seconds']:,.0f} | {point['train_loss']:.3f}"
        f" | {point['held_out_loss']:.3f} | {point['held_out_exact']:.2f} |"
    )


def _probe_row(task: str, score: dict[str, Any], known: dict[str, Any] | None) -> str:
    name = task.replace("_", " ")
    return f"| {name} | {_cells(score)} | {_cells(known) if known else '| | |'} |"


def _cells(score: dict[str, Any]) -> str:
    return (
        f"{score['documents']} | {score['loss']:.3f} | {score['token_accuracy']:.3f} | {score['exact']:.2f}"
    )
