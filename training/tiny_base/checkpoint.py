"""Saves and restores a run between two steps, so that a resumed run ends with the same bits."""

from pathlib import Path

import torch

from tiny_base.batches import Place
from tiny_base.history import History
from tiny_base.network import Network
from tiny_base.optimiser import Optimiser
from tiny_base.settings import Settings


class ResumeError(ValueError):
    """The folder holds no checkpoint, or one that was made with other settings."""


def save_checkpoint(
    folder: Path,
    settings: Settings,
    run: tuple[Network, Optimiser],
    place: tuple[int, Place],
    history: History,
) -> None:
    """Writes resume.pt (fp32 weights, both optimisers, step, place in the stream) by rename."""
    network, optimiser = run
    step, stream = place
    state = {
        "settings": settings.as_json(),
        "network": network.state_dict(),
        "optimiser": optimiser.state(),
        "step": step,
        "place": [stream.pool, stream.batch],
        "history": history.as_json(),
    }
    torch.save(state, folder / "resume.unfinished")
    (folder / "resume.unfinished").replace(folder / "resume.pt")


def load_checkpoint(
    folder: Path, settings: Settings, run: tuple[Network, Optimiser]
) -> tuple[int, Place, History]:
    """Fills network and optimiser; returns the next step, the place in the stream and the history.

    Raises ResumeError where there is nothing to resume or the settings differ (their fields are named).
    """
    path = folder / "resume.pt"
    if not path.is_file():
        raise ResumeError(f"{path} does not exist: start without --resume")
    state = torch.load(path, weights_only=True)
    theirs, ours = state["settings"], settings.as_json()
    differing = sorted(name for name in ours if theirs.get(name) != ours[name])
    if differing:
        raise ResumeError(
            f"{path} was made with another {', '.join(differing)}: resume with the same settings"
        )
    network, optimiser = run
    network.load_state_dict(state["network"])
    optimiser.restore(state["optimiser"])
    return int(state["step"]), Place(*state["place"]), History.from_json(state["history"])
