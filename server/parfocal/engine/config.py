"""The engine's settings: each with its default, help and bounds, declared only here.

Values only: the environment is not read here.
"""

from dataclasses import dataclass

from parfocal.engine.declared import Bounds, declare, out_of_bounds
from parfocal.engine.errors import EngineMisconfigured


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """One engine's settings. Sizes are in tokens, bytes or seconds, as their names say.

    Raises:
        EngineMisconfigured: a value is out of bounds.
    """

    device: str = declare("auto", "auto, cpu, cuda or cuda:N.")
    # auto is bfloat16 where the device multiplies it fast, float32 elsewhere.
    dtype: str = declare(
        "auto",
        "Type of activations, adapters and KV cache. float32 is exact; auto is bfloat16 where that is fast.",
        Bounds(choices=("auto", "float32", "bfloat16", "float16")),
    )
    # int16 is finer than bfloat16 and twice as fast in our CPU kernels, where auto chooses it.
    adapter_dtype: str = declare(
        "auto",
        "How adapters lie on the device. int16 and int8 have a scale for each row; int8 is half as large.",
        Bounds(choices=("auto", "float32", "bfloat16", "int16", "int8")),
    )
    slots: int = declare(16, "Adapters that fit on the device at once.", Bounds(1))
    max_rank: int = declare(256, "Largest adapter rank that is accepted.", Bounds(1))
    max_requests: int = declare(64, "Requests that run in one batch.", Bounds(1))
    max_waiting: int = declare(
        1024, "Requests that may wait; more are refused with RESOURCE_EXHAUSTED.", Bounds(1)
    )
    max_batch_tokens: int = declare(1024, "Tokens that one step computes.", Bounds(1))
    max_skips: int = declare(
        32,
        "Later requests that may start on adapters while one waits for a slot; then it is given one.",
        Bounds(0),
    )
    block_tokens: int = declare(16, "Tokens in one block of KV cache.", Bounds(1))
    kv_cache_bytes: int | None = declare(
        None,
        "Bytes of memory for the KV cache. Unset: what base, adapters and workspace leave.",
        Bounds(1),
    )
    # Slots beyond it wait for evictions.
    adapter_bytes: int | None = declare(
        None,
        "Bytes of a GPU's memory for adapters. Unset: all slots' at max_rank, at most a third of what the "
        "base leaves. Not for CPUs.",
        Bounds(1),
    )
    # On a CPU it counts within the budget; beside a GPU it is page-locked.
    host_cache_bytes: int | None = declare(
        None,
        "Bytes of host memory that keep adapters ready to be copied to the device. Unset: an eighth of what "
        "base and slots leave of a CPU's budget, or of the machine's memory beside a GPU; 0: none.",
        Bounds(0),
    )
    # Everything the engine keeps on its device: base, adapters, KV cache and a step's workspace.
    memory_bytes: int | None = declare(
        None,
        "Bytes of the device's memory for the whole engine. Unset: memory_fraction says how much.",
        Bounds(1),
    )
    # A GPU serves nothing else; a machine does.
    memory_fraction: float | None = declare(
        None,
        "Part of the device's memory for the whole engine. Unset: 0.9 of a GPU, 0.5 of a machine's memory.",
        Bounds(above=0, maximum=1),
    )
    context_tokens: int | None = declare(
        None,
        "Longest prompt plus answer, in tokens. Unset: what the base allows.",
        Bounds(2),
    )
    prefix_cache: bool = declare(True, "Keep the KV blocks of prompts for later requests.")
    # Without it, each number of rows has the kernels that are fastest for it, which round in their own ways.
    deterministic: bool = declare(
        False,
        "A request gets the same answer to the last bit, given the same seed, whatever else is computed. Our "
        "kernels for CPUs do so anyway; those for GPUs get slower, and torch alone computes token by token.",
    )
    load_threads: int = declare(2, "Threads that load adapters.", Bounds(1))
    unpack_bytes: int | None = declare(
        None,
        "Bytes that a CPU without bfloat16 arithmetic may spend to hold the base's 4-bit numbers as float32, "
        "several times faster. Unset: a quarter of the machine's memory; 0: never.",
        Bounds(0),
    )
    kernels: str = declare(
        "auto",
        "auto takes the fastest kernels that run here; torch uses only torch's own operations.",
        Bounds(choices=("auto", "torch")),
    )
    # No effect with float32, which rounds nothing.
    activation_bits: int = declare(
        13,
        "Bits of an activation where it meets 4-bit weights in the CPU's own kernels: 13 is ten times finer "
        "than bfloat16, 8 is four times coarser and almost twice as fast.",
        Bounds(choices=(8, 13)),
    )

    def __post_init__(self) -> None:
        for name, value, bounds in out_of_bounds(self):
            raise EngineMisconfigured(f"{name} is {value!r}; it must be {bounds.words}", field=name)
