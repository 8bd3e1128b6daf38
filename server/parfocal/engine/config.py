"""The engine's settings, with the reasons for their defaults.

Values only: nobody reads the environment here.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How one engine is sized.

    Sizes are in tokens, bytes or seconds as their names say. `dtype` is `auto` or a torch dtype's name;
    `auto` is bfloat16 where the device multiplies it fast, float32 elsewhere. `unpack_bytes` is how much
    memory a CPU without bfloat16 arithmetic may spend on holding the base's 4-bit numbers as float32, which
    is several times faster; None means a quarter of the machine's memory, 0 means never.
    `adapter_dtype` is how adapters lie on the device: auto, float32, bfloat16, or int16 and int8 with a scale
    for each row. int16 is finer than bfloat16 and twice as fast in the CPU's own kernels, where it is auto;
    int8 takes half the bytes.
    `activation_bits` is how exactly activations meet 4-bit weights in the CPU's own kernels: 13, or 8, which
    is almost twice as fast; with `dtype` float32 it has no effect.
    `kernels` is `auto` for the fastest that run here, or `torch` for torch's own operations alone.
    `memory_bytes` is for all that the engine keeps on its device: base, adapters, KV cache and a step's
    workspace. If it is None, `memory_fraction` of the device's memory is; None is 0.9 of a GPU, which serves
    nothing else, and 0.5 of a machine's memory, which does. `kv_cache_bytes` None gives the KV cache what the
    other parts leave.
    `adapter_bytes` is how much of a GPU's memory adapters may take; slots beyond it wait for others to leave.
    `host_cache_bytes` is how much host memory keeps adapters that were read, beside those on the device, so
    that they come back by a copy; 0 keeps none. None is an eighth: of what base and slots leave of the budget
    on a CPU, where it counts within, and of the machine's memory beside a GPU, page-locked.
    """

    device: str = "auto"
    dtype: str = "auto"
    adapter_dtype: str = "auto"
    slots: int = 16
    max_rank: int = 256
    max_requests: int = 64
    max_waiting: int = 1024
    max_batch_tokens: int = 1024
    max_skips: int = 32
    block_tokens: int = 16
    kv_cache_bytes: int | None = None
    host_cache_bytes: int | None = None
    adapter_bytes: int | None = None
    memory_bytes: int | None = None
    memory_fraction: float | None = None
    context_tokens: int | None = None
    prefix_cache: bool = True
    load_threads: int = 2
    unpack_bytes: int | None = None
    kernels: str = "auto"
    activation_bits: int = 13
