"""What a bench asks for: shapes, workloads, and the requests drawn from them. Plain values, no server."""

from parfocal.bench.workloads.against import Against, against_in
from parfocal.bench.workloads.calls import (
    Call,
    adapters_of_batch,
    adapters_of_round,
    calls_of_round,
    ranks_of_batch,
)
from parfocal.bench.workloads.notation import lengths_in, ranks_in, rate_in, sweep_in
from parfocal.bench.workloads.shapes import SHAPES, Shape
from parfocal.bench.workloads.workload import WARMUP_ROUND, Workload

__all__ = [
    "SHAPES",
    "WARMUP_ROUND",
    "Against",
    "Call",
    "Shape",
    "Workload",
    "adapters_of_batch",
    "adapters_of_round",
    "against_in",
    "calls_of_round",
    "lengths_in",
    "ranks_in",
    "ranks_of_batch",
    "rate_in",
    "sweep_in",
]
