"""Puts a server under a workload's load, round by round, and turns times into figures."""

from parfocal.bench.load.client import model_at, run_round
from parfocal.bench.load.figures import Figures
from parfocal.bench.load.rounds import Pace, Round
from parfocal.bench.load.saturation import Saturation, find_saturation, saturation_stages
from parfocal.bench.load.stages import Stages, stages_shown
from parfocal.bench.load.under_load import (
    OWN_NAME,
    Alternative,
    Load,
    Target,
    put_under_load,
    round_numbers,
    rounds_of_load,
    swept,
)

__all__ = [
    "OWN_NAME",
    "Alternative",
    "Figures",
    "Load",
    "Pace",
    "Round",
    "Saturation",
    "Stages",
    "Target",
    "find_saturation",
    "model_at",
    "put_under_load",
    "round_numbers",
    "rounds_of_load",
    "run_round",
    "saturation_stages",
    "stages_shown",
    "swept",
]
