"""In which types a base's parts lie on the device, by the engine's own rules. Loads no base."""

from dataclasses import dataclass

from parfocal.bench.workloads import Shape, Workload

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int16": 2, "int8": 1}
_SCALE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Stored:
    """The types of numbers: `dtype` of the base's activations, and those of what a step reads.

    `activation_bits` is how exactly the native kernels round activations; None where they round none.
    """

    dtype: str
    adapters: str
    head: str
    kv_cache: str
    activation_bits: int | None = None

    @property
    def text(self) -> str:
        """The types of the base, in words."""
        rounded = "" if self.activation_bits is None else f", activations in {self.activation_bits} bits"
        return f"{self.dtype}{rounded}"

    def adapter_bytes(self, shape: Shape, rank: int) -> int:
        """What an adapter weighs; as integers every row of its matrices has a scale."""
        size = shape.adapter_parameters(rank) * DTYPE_BYTES[self.adapters]
        rows = sum(rank + linear.tall for linear in shape.linears)
        return size + (rows * _SCALE_BYTES if self.adapters.startswith("int") else 0)


def stored_types(workload: Workload, dtype: str, device: str) -> Stored:
    """How a server that reports `dtype` and `device` holds what the workload asks for."""
    is_rounded = workload.dtype == "auto" and dtype == "float32" and _has_kernels(workload, device)
    asked = workload.adapter_dtype
    if not is_rounded:
        return Stored(dtype, adapters=dtype if asked == "auto" else asked, head=dtype, kv_cache=dtype)
    return Stored(
        dtype,
        adapters="int16" if asked == "auto" else asked,
        # Integers as wide as the activations that they meet.
        head="int8" if workload.activation_bits == 8 else "int16",
        kv_cache="float16",
        activation_bits=workload.activation_bits,
    )


def _has_kernels(workload: Workload, device: str) -> bool:
    if workload.kernels != "auto" or device != "cpu":
        return False
    from parfocal.engine.backends.native import load

    return load() is not None
