"""What the adapter said of every answer before the first step, kept with each checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

_FILE = "beginning.safetensors"

Figures = Mapping[str, Sequence[float]]


class FromBeginning:
    """Mixed into a method to which it matters how far the adapter has moved from where it began."""

    beginning: Figures

    def keep(self, folder: Path) -> None:
        """Writes the scores of the beginning, exactly."""
        kept = {name: torch.tensor(list(values)) for name, values in self.beginning.items()}
        save_file(kept, folder / _FILE)

    def restore(self, folder: Path) -> None:
        """Reads what `keep` wrote."""
        self.beginning = {name: values.tolist() for name, values in load_file(folder / _FILE).items()}
