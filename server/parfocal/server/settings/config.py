"""Everything that `parfocal serve` can be told: values and help only; `resolution.py` finds the values."""

from dataclasses import dataclass, fields

from parfocal.engine import EngineConfig
from parfocal.server.settings.setting import Bounds, declare

DEFAULT_GRPC_ADDRESS = "127.0.0.1:50051"
DEFAULT_REGISTRY = "~/.local/share/parfocal/registry"

_ENGINE = EngineConfig()


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """One server's settings; file keys, `PARFOCAL_…` variables and flags are derived from its fields."""

    base: str = declare("tiny", "The base model: tiny, a local folder, or a Hugging Face Hub id.")
    registry: str = declare(DEFAULT_REGISTRY, "Where adapters come from: a folder, or grpc://host:port.")
    grpc_address: str = declare(DEFAULT_GRPC_ADDRESS, "Where gRPC listens: host:port, or unix:/path.")
    metrics_address: str = declare(
        "127.0.0.1:9464", "Where Prometheus finds /metrics: host:port. Empty: no metrics page."
    )
    device: str = declare(_ENGINE.device, "auto, cpu, cuda or cuda:N.")
    dtype: str = declare(
        _ENGINE.dtype,
        "Type of activations, adapters and KV cache. float32 is exact; auto is bfloat16 where that is fast.",
        Bounds(choices=("auto", "float32", "bfloat16", "float16")),
    )
    adapter_dtype: str = declare(
        _ENGINE.adapter_dtype,
        "How adapters lie on the device. int16 and int8 have a scale for each row; int8 is half as large.",
        Bounds(choices=("auto", "float32", "bfloat16", "int16", "int8")),
    )
    pin: str = declare(
        "",
        "Adapters, NAME[,NAME], that are loaded at start and stay on the device. Each takes a slot; a name, "
        "version or alias means what it means at start.",
    )
    slots: int = declare(_ENGINE.slots, "Adapters that fit on the device at once.", Bounds(1))
    max_rank: int = declare(_ENGINE.max_rank, "Largest adapter rank that is accepted.", Bounds(1))
    max_requests: int = declare(_ENGINE.max_requests, "Requests that run in one batch.", Bounds(1))
    max_waiting: int = declare(
        _ENGINE.max_waiting, "Requests that may wait; more are refused with RESOURCE_EXHAUSTED.", Bounds(1)
    )
    max_batch_tokens: int = declare(_ENGINE.max_batch_tokens, "Tokens that one step computes.", Bounds(1))
    max_skips: int = declare(
        _ENGINE.max_skips,
        "Later requests that may start on adapters while one waits for a slot; then it is given one.",
        Bounds(0),
    )
    block_tokens: int = declare(_ENGINE.block_tokens, "Tokens in one block of KV cache.", Bounds(1))
    kv_cache_bytes: int | None = declare(
        _ENGINE.kv_cache_bytes,
        "Bytes of memory for the KV cache. Unset: what base, adapters and workspace leave.",
        Bounds(1),
    )
    adapter_bytes: int | None = declare(
        _ENGINE.adapter_bytes,
        "Bytes of a GPU's memory for adapters. Unset: all slots' at max_rank, at most a third of what the "
        "base leaves. Not for CPUs.",
        Bounds(1),
    )
    host_cache_bytes: int | None = declare(
        _ENGINE.host_cache_bytes,
        "Bytes of host memory that keep adapters ready to be copied to the device. Unset: an eighth of what "
        "base and slots leave of a CPU's budget, or of the machine's memory beside a GPU; 0: none.",
        Bounds(0),
    )
    memory_bytes: int | None = declare(
        _ENGINE.memory_bytes,
        "Bytes of the device's memory for the whole engine. Unset: memory_fraction says how much.",
        Bounds(1),
    )
    memory_fraction: float | None = declare(
        _ENGINE.memory_fraction,
        "Part of the device's memory for the whole engine. Unset: 0.9 of a GPU, 0.5 of a machine's memory.",
        Bounds(0),
    )
    context_tokens: int | None = declare(
        _ENGINE.context_tokens,
        "Longest prompt plus answer, in tokens. Unset: what the base allows.",
        Bounds(2),
    )
    prefix_cache: bool = declare(_ENGINE.prefix_cache, "Keep the KV blocks of prompts for later requests.")
    load_threads: int = declare(_ENGINE.load_threads, "Threads that load adapters.", Bounds(1))
    unpack_bytes: int | None = declare(
        _ENGINE.unpack_bytes,
        "Bytes that a CPU without bfloat16 arithmetic may spend to hold the base's 4-bit numbers as float32, "
        "several times faster. Unset: a quarter of the machine's memory; 0: never.",
        Bounds(0),
    )
    kernels: str = declare(
        _ENGINE.kernels,
        "auto takes the fastest kernels that run here; torch takes torch's own operations alone.",
        Bounds(choices=("auto", "torch")),
    )
    activation_bits: int = declare(
        _ENGINE.activation_bits,
        "Bits of an activation where it meets 4-bit weights in the CPU's own kernels: 13 is ten times finer "
        "than bfloat16, 8 is four times coarser and almost twice as fast.",
        Bounds(choices=(8, 13)),
    )
    base_cache: str = declare(
        "auto",
        "Folder that keeps bases as they are held in memory, so that the next start is quick. auto: "
        "parfocal/bases in the user's cache. Empty: none.",
    )
    base_cache_bytes: int = declare(
        64 << 30,
        "Bytes on disk for such bases. The least recently served leave first, those being served never.",
        Bounds(0),
    )
    text_threads: int = declare(2, "Threads that turn text into tokens.", Bounds(1))
    adapter_labels: int = declare(
        50, "Adapter versions that get their own label in the metrics; the rest share `other`.", Bounds(0)
    )
    drain_s: float = declare(
        30.0, "Seconds that running requests get to finish after SIGTERM before they are cut off.", Bounds(0)
    )

    log_level: str = declare(
        "info",
        "The least important lines that are logged.",
        Bounds(choices=("debug", "info", "warning", "error")),
    )
    log_format: str = declare(
        "text",
        "How lines on stderr look: for people, or one JSON object each.",
        Bounds(choices=("text", "json")),
    )

    @property
    def pinned(self) -> tuple[str, ...]:
        """The references in `pin`, each once."""
        return tuple(dict.fromkeys(name for part in self.pin.split(",") if (name := part.strip())))

    def engine(self) -> EngineConfig:
        """Returns the part of these settings that sizes the engine."""
        return EngineConfig(**{each.name: getattr(self, each.name) for each in fields(EngineConfig)})
