"""What computes well: CPU threads with the same bits on any number, and memory given back."""

from parfocal.training.computing.heap import give_back_memory
from parfocal.training.computing.softmax import register_attention, steady_cross_entropy
from parfocal.training.computing.threads import ThreadCount, fixed_threads, thread_counts

__all__ = [
    "ThreadCount",
    "fixed_threads",
    "give_back_memory",
    "register_attention",
    "steady_cross_entropy",
    "thread_counts",
]
