"""What the adapter said of every answer before the first step, kept with each checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

_FILE = "beginning.safetensors"

Figures = Mapping[str, Sequence[float]]


def keep_beginning(figures: Figures, folder: Path) -> None:
    """Writes `figures`, exactly."""
    save_file({name: torch.tensor(list(values)) for name, values in figures.items()}, folder / _FILE)


def restore_beginning(folder: Path) -> dict[str, list[float]]:
    """Reads what `keep_beginning` wrote."""
    return {name: values.tolist() for name, values in load_file(folder / _FILE).items()}
