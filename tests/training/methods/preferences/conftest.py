"""A rig for each method that learns from preferences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from fakes.methods.method_rig import MakeRig, Rig
from parfocal.training.data import Learnable


@pytest.fixture
def make_rig(base_folder: Path, tmp_path: Path) -> MakeRig:
    """Makes rigs on the small base."""

    def make(rows: Sequence[Learnable], callback: TrainerCallback | None = None, **settings: Any) -> Rig:
        return Rig(base_folder, tmp_path, rows, callback or TrainerCallback(), **settings)

    return make
