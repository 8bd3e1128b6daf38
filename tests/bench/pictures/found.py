"""Chooses the picture for what was found."""

from pathlib import Path

from matplotlib.figure import Figure

from bench.pictures.bench_picture import bench_figure
from bench.pictures.drawing import write_png
from bench.pictures.growth_picture import growth_figure
from bench.pictures.steps_picture import steps_figure
from parfocal.bench.profiles import GrowthProfile, Profile, StepsProfile
from parfocal.bench.stand import Bench


def draw_found(found: Bench | Profile, path: Path) -> None:
    """Writes the picture of a bench or a profile as a PNG. Raises OSError."""
    write_png(_figure(found), path)


def _figure(found: Bench | Profile) -> Figure:
    if isinstance(found, Bench):
        return bench_figure(found)
    if isinstance(found, StepsProfile):
        title = f"{found.workload.shape}, {found.stored.text}, kernels {found.workload.kernels}"
        return steps_figure(found.found, found.limits(), title)
    if isinstance(found, GrowthProfile):
        adapters = f"adapters of rank {found.workload.rank} in {found.stored.adapters}"
        title = f"{found.workload.shape}, {found.stored.text}; {adapters}"
        return growth_figure(found.visits, found.found, found.limits(), title)
    raise TypeError(f"there is no picture of a {type(found).__name__}")
