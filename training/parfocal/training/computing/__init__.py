"""CPU threads: the fastest number beside other work, and the same bits with any number."""

from parfocal.training.computing.softmax import register_attention, steady_cross_entropy
from parfocal.training.computing.threads import ThreadCount, fixed_threads, thread_counts

__all__ = [
    "ThreadCount",
    "fixed_threads",
    "register_attention",
    "steady_cross_entropy",
    "thread_counts",
]
