"""Everything that `parfocal serve` can be told: values and help only; `resolution.py` finds the values."""

from dataclasses import dataclass, fields

from parfocal.engine import Bounds, EngineConfig, declare, declared_by
from parfocal.registry.disk import data_home
from parfocal.registry.faces import ServiceLimits

DEFAULT_GRPC_ADDRESS = "127.0.0.1:50051"
DEFAULT_REGISTRY = f"{data_home()}/registry"
SERVICE = ServiceLimits()
# What of a server's settings a registry has too.
REGISTRY_SETTINGS = (
    "registry",
    "grpc_address",
    "http_address",
    "metrics_address",
    "keys",
    "insecure",
    "signatures",
    "trusted_keys",
    "signatures_at",
    "tls_cert",
    "tls_key",
    "tls_client_ca",
    "max_rpcs",
    "max_registry_rpcs",
    "max_connections",
    "max_uploads",
    "max_upload_bytes",
    "upload_idle_s",
    "upload_keep_s",
    "quotas",
    "drain_s",
    "log_level",
    "log_format",
)


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """One server's settings; file keys, `PARFOCAL_…` variables and flags are derived from its fields."""

    base: str = declare("tiny", "The base model: tiny, a local folder, or a Hugging Face Hub id.")
    registry: str = declare(
        DEFAULT_REGISTRY,
        "Where adapters come from: a folder, or grpc://host:port, or grpcs:// over TLS. A server is shown "
        "PARFOCAL_API_KEY.",
    )
    grpc_address: str = declare(DEFAULT_GRPC_ADDRESS, "Where gRPC listens: host:port, or unix:/path.")
    http_address: str = declare(
        "127.0.0.1:8000", "Where OpenAI's API is served over HTTP: host:port. Empty: not at all."
    )
    metrics_address: str = declare(
        "127.0.0.1:9464",
        "Where Prometheus finds /metrics: host:port. Empty: no metrics page. It asks for no key and tells "
        "names of adapters: bind it where only your monitoring reaches it.",
    )
    keys: str = declare(
        "",
        "The file of API keys that callers must show, made with parfocal keys add; changes count within a "
        "second. Empty: nobody needs a key, and the server listens on this machine only.",
    )
    insecure: bool = declare(
        False, "Serve other machines without keys. Whoever reaches the address may do everything."
    )
    signatures: str = declare(
        "off",
        "What becomes of a version that no trusted key has signed. require: it is refused by name; warn: it "
        "is served with a warning; off: nobody asks.",
        Bounds(choices=("off", "warn", "require")),
    )
    trusted_keys: str = declare(
        "",
        "The file of public keys that are trusted to sign, made with parfocal trust add, or one in PEM; "
        "changes count within a second.",
    )
    signatures_at: str = declare(
        "alias",
        "When the registry itself asks for signatures. alias: an alias moves to signed versions only; "
        "publish: nothing is published without, too.",
        Bounds(choices=("alias", "publish")),
    )
    tls_cert: str = declare(
        "",
        "The server's certificate, with those between it and its authority: a PEM file. Empty: no TLS. A "
        "renewed file is used from the next connection on.",
    )
    tls_key: str = declare("", "The private key of tls_cert: a PEM file.")
    tls_client_ca: str = declare(
        "", "The authorities whose certificates callers must have: a PEM file. Empty: callers need none."
    )
    device: str = declared_by(EngineConfig, "device")
    dtype: str = declared_by(EngineConfig, "dtype")
    adapter_dtype: str = declared_by(EngineConfig, "adapter_dtype")
    pin: str = declare(
        "",
        "Adapters, NAME[,NAME], that are loaded at start and stay on the device. Each takes a slot; a name, "
        "version or alias means what it means at start.",
    )
    slots: int = declared_by(EngineConfig, "slots")
    max_rank: int = declared_by(EngineConfig, "max_rank")
    max_requests: int = declared_by(EngineConfig, "max_requests")
    max_waiting: int = declared_by(EngineConfig, "max_waiting")
    max_batch_tokens: int = declared_by(EngineConfig, "max_batch_tokens")
    max_skips: int = declared_by(EngineConfig, "max_skips")
    block_tokens: int = declared_by(EngineConfig, "block_tokens")
    kv_cache_bytes: int | None = declared_by(EngineConfig, "kv_cache_bytes")
    adapter_bytes: int | None = declared_by(EngineConfig, "adapter_bytes")
    host_cache_bytes: int | None = declared_by(EngineConfig, "host_cache_bytes")
    memory_bytes: int | None = declared_by(EngineConfig, "memory_bytes")
    memory_fraction: float | None = declared_by(EngineConfig, "memory_fraction")
    context_tokens: int | None = declared_by(EngineConfig, "context_tokens")
    prefix_cache: bool = declared_by(EngineConfig, "prefix_cache")
    deterministic: bool = declared_by(EngineConfig, "deterministic")
    load_threads: int = declared_by(EngineConfig, "load_threads")
    unpack_bytes: int | None = declared_by(EngineConfig, "unpack_bytes")
    kernels: str = declared_by(EngineConfig, "kernels")
    activation_bits: int = declared_by(EngineConfig, "activation_bits")
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
    switch_s: float = declare(
        60.0,
        "Seconds that a reference which moved at a grpc:// registry is answered with the version before, "
        "while the new one is fetched; then requests wait for it.",
        Bounds(0),
    )
    text_threads: int = declare(2, "Threads that turn text into tokens.", Bounds(1))
    adapter_labels: int = declare(
        50, "Adapter versions that get their own label in the metrics; the rest share `other`.", Bounds(0)
    )
    max_rpcs: int = declare(
        2048,
        "Rpcs at a time, waiting requests included; more are refused with RESOURCE_EXHAUSTED.",
        Bounds(1),
    )
    max_registry_rpcs: int = declare(
        SERVICE.max_registry_rpcs,
        "Of these, rpcs that read or change the registry; their answers may have megabytes each.",
        Bounds(1),
    )
    max_connections: int | None = declare(
        None,
        "Connections at a time, of gRPC and of HTTP each; more are closed. Unset: half of the files that the "
        "process may open, for HTTP a quarter.",
        Bounds(1),
    )
    max_uploads: int = declare(
        SERVICE.max_uploads,
        "Uploads at a time; more are refused with RESOURCE_EXHAUSTED. Each keeps a file open.",
        Bounds(1),
    )
    max_upload_bytes: int | None = declare(
        SERVICE.max_upload_bytes,
        "Bytes on disk for all uploads under way. Unset: half of what is free on their disk at start.",
        Bounds(1),
    )
    upload_idle_s: float = declare(
        SERVICE.upload_idle_s,
        "Seconds in which an upload must send 256 KiB, or its rest; a slower one is ended.",
        Bounds(above=0),
    )
    upload_keep_s: float = declare(
        SERVICE.upload_keep_s,
        "Seconds that an upload which was cut waits for its rest, and an uploaded file to be published; then "
        "it may be removed.",
        Bounds(above=0),
    )
    quotas: str = declare(
        "",
        "The most that a namespace may hold: NAMESPACE=BYTES[/VERSIONS][,…], as team=10GiB/1000,*=1GiB; * is "
        "every other. What would be more is refused. Live versions count, and of equal files in a namespace "
        "one. Every process that serves the registry needs the same. Empty: no limit.",
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

    def service(self) -> ServiceLimits:
        """The part of these settings that bounds what the registry's service has under way."""
        return ServiceLimits(**{each.name: getattr(self, each.name) for each in fields(ServiceLimits)})

    def engine(self) -> EngineConfig:
        """The part of these settings that sizes the engine."""
        return EngineConfig(**{each.name: getattr(self, each.name) for each in fields(EngineConfig)})
