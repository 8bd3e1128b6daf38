"""Every metric that a server shows, and what the engine's reports do to them. Knows no HTTP and no gRPC."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from parfocal.engine import (
    KERNELS,
    AdapterKey,
    AdapterReport,
    FinishReason,
    KernelReport,
    LoadReport,
    RequestReport,
    StepReport,
)
from parfocal.server.build_info import build_info
from parfocal.server.canaries import Shown
from parfocal.server.metrics.canaries import CanaryCollector
from parfocal.server.metrics.disks import DiskCollector
from parfocal.server.metrics.residents import AdapterLister, ResidentCollector
from parfocal.server.metrics.tally import BASE, UNKNOWN, RequestTally, TallyCollector, label_of
from parfocal.server.metrics.usage import Usage, UsageCollector

_FIRST_TOKEN_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_PER_TOKEN_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5)
_REQUEST_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
_QUEUE_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_STEP_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 5)
_LOAD_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60)
_BATCH_TOKENS = tuple(1 << power for power in range(14))

LOAD_STAGES = ("fetch", "stage", "copy")
LOOKUP_RESULTS = ("hit", "wait", "miss")
EVICTION_REASONS = ("capacity", "host_capacity")


class ServerMetrics:
    """The metrics of one server on a registry of their own; an `Observer` of the engine.

    Every series whose labels are known in advance exists from the start with 0. Before `watch`, the engine's
    reports are not counted, so that warming up leaves no trace; only disabled kernels are, since that is when
    they fail.
    """

    def __init__(self, adapter_labels: int) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._watching = False
        self._labels = adapter_labels
        self._tally = RequestTally(adapter_labels)
        self._residents = ResidentCollector(self._tally.label)
        self.registry.register(TallyCollector(self._tally))
        self.registry.register(self._residents)
        self._usage = UsageCollector()
        self.registry.register(self._usage)
        self._disks = DiskCollector()
        self.registry.register(self._disks)
        ProcessCollector(registry=self.registry)
        self._requests = _RequestMetrics(self.registry)
        self._steps = _StepMetrics(self.registry)
        self._adapters = _AdapterMetrics(self.registry)
        self._fallbacks = _fallbacks(self.registry)
        self._base_memory = _base_memory(self.registry)
        show_build_info(self.registry)
        for reason in FinishReason:
            self._tally.expect(BASE, reason.value)

    def base_loaded(self, memory_bytes: int) -> None:
        """Shows what the base takes; before that, 0."""
        self._base_memory.set(memory_bytes)

    def watch(self, engine: AdapterLister) -> None:
        """Counts from now on, and shows at every scrape the adapters that `engine` holds."""
        self._residents.watch(engine)
        self._watching = True

    def bounded(self, usage: Usage) -> None:
        """Shows from now on how much of what the server bounds is taken."""
        self._usage.watch(usage)

    def keeps(self, folders: Mapping[str, Path]) -> None:
        """Shows from now on how full the disks of these folders are, each named by what it keeps."""
        self._disks.watch(folders)

    def follows(self, staleness_s: Callable[[], float]) -> None:
        """Shows from now on how old what is known of a followed registry may be."""
        Gauge(
            "parfocal_registry_staleness_seconds",
            "Since when what references mean here may not be what they mean in the registry; 0 while it is.",
            registry=self.registry,
        ).set_function(staleness_s)

    def splits(self, shown: Callable[[], Sequence[Shown]]) -> None:
        """Shows from now on the canaries that get requests, and how their two versions do."""
        self.registry.register(CanaryCollector(shown, self._labels))

    def refused(self, adapter: AdapterKey | None, outcome: str) -> None:
        """Counts a request that ended before the engine took it; `adapter` is None where it is the base's."""
        self._tally.add(label_of(adapter), outcome)

    def refused_unresolved(self, outcome: str) -> None:
        """Counts a request whose adapter was never found: unpublished names must not become labels."""
        self._tally.add(UNKNOWN, outcome)

    def step(self, report: StepReport) -> None:
        """Records a step."""
        if self._watching:
            self._steps.take(report)

    def load(self, report: LoadReport) -> None:
        """Shows what is left without a step; at first all blocks are free, before anything is counted."""
        self._steps.show(report)

    def request(self, report: RequestReport) -> None:
        """Records an ended request."""
        if self._watching:
            self._tally.add(label_of(report.adapter), report.outcome, report.generated_tokens)
            self._requests.take(report)

    def adapter(self, report: AdapterReport) -> None:
        """Records an adapter event."""
        if self._watching:
            self._adapters.take(report)

    def kernel(self, report: KernelReport) -> None:
        """Counts a kernel that plain torch replaced, also while the engine is built."""
        self._fallbacks.labels(report.kernel).inc()


class _RequestMetrics:
    """What one ended request contributes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._first_token = _histogram(
            registry, "time_to_first_token", "From a request's arrival to its first token.", _FIRST_TOKEN_S
        )
        self._per_token = _histogram(
            registry, "time_per_output_token", "Mean time between a request's tokens.", _PER_TOKEN_S
        )
        self._duration = _histogram(registry, "request_duration", "A request's whole life.", _REQUEST_S)
        self._queue = _histogram(registry, "queue", "A request's wait before its first step.", _QUEUE_S)

    def take(self, report: RequestReport) -> None:
        self._duration.observe(report.seconds)
        self._queue.observe(report.timings.queue)
        if report.first_token_seconds is None:
            return
        self._first_token.observe(report.first_token_seconds)
        if report.generated_tokens > 1:
            between = report.seconds - report.first_token_seconds
            self._per_token.observe(between / (report.generated_tokens - 1))


class _StepMetrics:
    """What one step contributes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = _histogram(registry, "step", "One step of the engine.", _STEP_S)
        self._tokens = Histogram(
            "parfocal_batch_tokens", "Tokens computed in one step.", buckets=_BATCH_TOKENS, registry=registry
        )
        self._prompt = Counter(
            "parfocal_prompt_tokens", "Prompt tokens computed; the prefix cache's are not.", registry=registry
        )
        self._generated = Counter("parfocal_generated_tokens", "Tokens generated.", registry=registry)
        self._running = Gauge("parfocal_requests_running", "Requests in the batch.", registry=registry)
        self._waiting = Gauge("parfocal_requests_waiting", "Requests that wait for room.", registry=registry)
        blocks = Gauge(
            "parfocal_kv_blocks",
            "KV cache blocks: used by requests, kept for prefixes, free.",
            ["state"],
            registry=registry,
        )
        self._used, self._cached, self._free = (blocks.labels(state) for state in ("used", "cached", "free"))

    def take(self, report: StepReport) -> None:
        self._seconds.observe(report.seconds)
        self._tokens.observe(report.tokens)
        self._prompt.inc(report.prompt_tokens)
        self._generated.inc(report.generated_tokens)
        self.show(report)

    def show(self, report: StepReport | LoadReport) -> None:
        self._running.set(report.running)
        self._waiting.set(report.waiting)
        self._used.set(report.blocks_used)
        self._cached.set(report.blocks_cached)
        self._free.set(report.blocks_free)


class _AdapterMetrics:
    """What adapter events contribute."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._load = Histogram(
            "parfocal_adapter_load_seconds",
            "Loading an adapter, by stage; from host memory only the copy.",
            ["stage"],
            buckets=_LOAD_S,
            registry=registry,
        )
        self._lookups = Counter(
            "parfocal_adapter_lookups",
            "Lookups, one for each request, by result.",
            ["result"],
            registry=registry,
        )
        self._evictions = Counter(
            "parfocal_adapter_evictions",
            "Adapters evicted, by reason.",
            ["reason"],
            registry=registry,
        )
        for stage in LOAD_STAGES:
            self._load.labels(stage)
        for result in LOOKUP_RESULTS:
            self._lookups.labels(result)
        for reason in EVICTION_REASONS:
            self._evictions.labels(reason)

    def take(self, report: AdapterReport) -> None:
        if report.event in LOOKUP_RESULTS:
            self._lookups.labels(report.event).inc()
        elif report.event == "evicted":
            self._evictions.labels(report.detail or "unknown").inc()
        elif report.event in ("loaded", "staged"):
            for stage, seconds in report.seconds.items():
                self._load.labels(stage).observe(seconds)


def _histogram(
    registry: CollectorRegistry, name: str, help_text: str, buckets: tuple[float, ...]
) -> Histogram:
    return Histogram(f"parfocal_{name}_seconds", help_text, buckets=buckets, registry=registry)


def _fallbacks(registry: CollectorRegistry) -> Counter:
    counter = Counter(
        "parfocal_kernel_fallbacks",
        "Device kernels disabled in favour of the next best path: slower, same results.",
        ["kernel"],
        registry=registry,
    )
    for kernel in KERNELS:
        counter.labels(kernel)
    return counter


def _base_memory(registry: CollectorRegistry) -> Gauge:
    return Gauge("parfocal_base_memory_bytes", "What the base's weights take.", registry=registry)


def show_build_info(registry: CollectorRegistry) -> None:
    """Shows what the server is built of, as labels of a 1."""
    info = build_info()
    gauge = Gauge("parfocal_build_info", "What this server is built of.", list(info), registry=registry)
    gauge.labels(*info.values()).set(1)
