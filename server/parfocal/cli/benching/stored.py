"""In which types a base's parts lie on the device, by the engine's own rules. Loads no base."""

from dataclasses import dataclass

from .shapes import Shape
from .workload import Workload

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
_SCALE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Stored:
    """The types of numbers: `dtype` of activations and KV cache, and those of the adapters and the head."""

    dtype: str
    adapters: str
    head: str

    def adapter_bytes(self, shape: Shape, rank: int) -> int:
        """Returns what an adapter weighs; in 8 bit every row of its matrices has a scale."""
        size = shape.adapter_parameters(rank) * DTYPE_BYTES[self.adapters]
        rows = sum(rank + linear.tall for linear in shape.linears)
        return size + (rows * _SCALE_BYTES if self.adapters == "int8" else 0)


def stored_types(workload: Workload, dtype: str, device: str) -> Stored:
    """Returns how a server that reports `dtype` and `device` holds what the workload asks for."""
    short = workload.dtype == "auto" and dtype == "float32" and _has_kernels(workload, device)
    plain = "bfloat16" if short else dtype
    return Stored(
        dtype=dtype,
        adapters=plain if workload.adapter_dtype == "auto" else workload.adapter_dtype,
        head=plain,
    )


def _has_kernels(workload: Workload, device: str) -> bool:
    if workload.kernels != "auto" or device != "cpu":
        return False
    from parfocal.engine.native.library import load

    return load() is not None
