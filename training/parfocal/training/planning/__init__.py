"""What a run would be and would need, before anything runs: tokens, memory, time."""

from parfocal.training.planning.estimate import Estimate, estimate_lines, estimated
from parfocal.training.planning.memory import Memory, Sizes, memory_needed
from parfocal.training.planning.plan import Plan
from parfocal.training.planning.work import Work, work_of

__all__ = [
    "Estimate",
    "Memory",
    "Plan",
    "Sizes",
    "Work",
    "estimate_lines",
    "estimated",
    "memory_needed",
    "work_of",
]
