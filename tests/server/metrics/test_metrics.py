"""The metrics: every promised name from the start, and what each report does to them."""

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from parfocal.engine import (
    KERNELS,
    AdapterKey,
    AdapterReport,
    FinishReason,
    RequestReport,
    StepReport,
    Timings,
)
from parfocal.engine.observer import KernelReport, LoadReport
from parfocal.engine.parts import AdapterStatus
from parfocal.server.metrics.server_metrics import ServerMetrics

PROMISED = {
    "parfocal_requests_total": {"adapter", "version", "outcome"},
    "parfocal_time_to_first_token_seconds": set(),
    "parfocal_time_per_output_token_seconds": set(),
    "parfocal_request_duration_seconds": set(),
    "parfocal_queue_seconds": set(),
    "parfocal_prompt_tokens_total": set(),
    "parfocal_generated_tokens_total": set(),
    "parfocal_requests_running": set(),
    "parfocal_requests_waiting": set(),
    "parfocal_step_seconds": set(),
    "parfocal_batch_tokens": set(),
    "parfocal_kv_blocks": {"state"},
    "parfocal_adapter_resident": {"adapter", "version", "tier"},
    "parfocal_adapter_load_seconds": {"stage"},
    "parfocal_adapter_lookups_total": {"result"},
    "parfocal_adapter_evictions_total": {"reason"},
    "parfocal_adapter_memory_bytes": {"tier"},
    "parfocal_kernel_fallbacks_total": {"kernel"},
    "parfocal_base_memory_bytes": set(),
    "parfocal_build_info": {"version", "python", "torch", "transformers", "bitsandbytes"},
}
KEY = AdapterKey("sha256:" + "1" * 64, "team/invoices", 3)
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Engine:
    """Holds what the test says."""

    def __init__(self, *statuses: AdapterStatus) -> None:
        self.statuses = statuses

    def adapters(self) -> tuple[AdapterStatus, ...]:
        return self.statuses


def _watching() -> ServerMetrics:
    metrics = ServerMetrics(50)
    metrics.watch(Engine())
    return metrics


def _page(metrics: ServerMetrics) -> str:
    return generate_latest(metrics.registry).decode()


def _samples(metrics: ServerMetrics) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(_page(metrics))
        for sample in family.samples
    }


def _request(adapter: AdapterKey | None = KEY, outcome: str = "stop", tokens: int = 5) -> RequestReport:
    timings = Timings(queue=0.5, load=0.25, prefill=0.5, decode=2.0)
    return RequestReport(adapter, outcome, 7, 2, tokens, 3.0, 1.0, timings)


def test_every_promised_name_is_on_the_page_before_any_traffic() -> None:
    families = {family.name: family for family in text_string_to_metric_families(_page(ServerMetrics(50)))}

    assert {name.removesuffix("_total") for name in PROMISED} <= set(families)


def test_series_have_exactly_the_promised_labels() -> None:
    metrics = ServerMetrics(50)
    metrics.watch(Engine(AdapterStatus(KEY, "ready", "device", 8, 100, 0)))
    metrics.request(_request())
    metrics.adapter(AdapterReport("evicted", KEY, {}, detail="capacity"))

    found: dict[str, set[str]] = {}
    for name, labels in _samples(metrics):
        plain = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        found.setdefault(plain, set()).update({key for key, _ in labels} - {"le"})

    assert {name: found.get(name) for name in PROMISED} == PROMISED


def test_known_outcomes_exist_with_zero_so_that_the_first_request_is_an_increase() -> None:
    samples = _samples(ServerMetrics(50))

    for reason in FinishReason:
        labels = (("adapter", "base"), ("outcome", reason.value), ("version", ""))
        assert samples["parfocal_requests_total", labels] == 0


def test_a_request_is_counted_and_timed_once() -> None:
    metrics = _watching()

    metrics.request(_request())

    samples = _samples(metrics)
    labels = (("adapter", "team/invoices"), ("outcome", "stop"), ("version", "3"))
    assert samples["parfocal_requests_total", labels] == 1
    assert samples["parfocal_time_to_first_token_seconds_sum", ()] == 1.0
    assert samples["parfocal_time_per_output_token_seconds_sum", ()] == 0.5
    assert samples["parfocal_request_duration_seconds_sum", ()] == 3.0
    assert samples["parfocal_queue_seconds_sum", ()] == 0.5


def test_what_is_reported_before_watching_is_not_counted() -> None:
    metrics = ServerMetrics(50)

    metrics.request(_request())
    metrics.adapter(AdapterReport("hit", KEY, {}))
    metrics.step(StepReport(1, 1, 1, 1, 1, 1, 1, 1, 1))

    assert all(
        value == 0
        for (name, _), value in _samples(metrics).items()
        if name not in ("parfocal_build_info", "parfocal_threads")
        and not name.startswith("process_")
        and not name.endswith("_created")
    )


def test_a_request_of_one_token_has_no_time_between_tokens() -> None:
    metrics = _watching()

    metrics.request(_request(tokens=1))

    assert _samples(metrics)["parfocal_time_per_output_token_seconds_count", ()] == 0


def test_a_step_moves_gauges_and_counters() -> None:
    metrics = _watching()
    report = StepReport(
        seconds=0.125,
        tokens=12,
        prompt_tokens=10,
        generated_tokens=2,
        running=3,
        waiting=4,
        blocks_used=5,
        blocks_cached=6,
        blocks_free=7,
    )

    metrics.step(report)
    metrics.step(report)

    samples = _samples(metrics)
    assert samples["parfocal_step_seconds_sum", ()] == 0.25
    assert samples["parfocal_batch_tokens_sum", ()] == 24
    assert samples["parfocal_prompt_tokens_total", ()] == 20
    assert samples["parfocal_generated_tokens_total", ()] == 4
    assert samples["parfocal_requests_running", ()] == 3
    assert samples["parfocal_requests_waiting", ()] == 4
    blocks = {
        state: samples["parfocal_kv_blocks", (("state", state),)] for state in ("used", "cached", "free")
    }
    assert blocks == {"used": 5, "cached": 6, "free": 7}


def test_what_is_left_without_a_step_is_shown_and_counts_as_none() -> None:
    metrics = _watching()

    metrics.step(StepReport(0.1, 10, 8, 1, 3, 4, 5, 6, 7))
    metrics.load(LoadReport(running=0, waiting=1, blocks_used=2, blocks_cached=8, blocks_free=9))

    samples = _samples(metrics)
    assert samples["parfocal_requests_running", ()] == 0
    assert samples["parfocal_requests_waiting", ()] == 1
    assert samples["parfocal_kv_blocks", (("state", "free"),)] == 9
    assert samples["parfocal_step_seconds_count", ()] == 1


def test_adapter_events_are_counted_by_kind() -> None:
    metrics = _watching()

    for event in ("miss", "wait", "hit", "hit"):
        metrics.adapter(AdapterReport(event, KEY, {}))
    metrics.adapter(AdapterReport("loaded", KEY, {"fetch": 0.5, "stage": 0.25, "copy": 0.125}))
    metrics.adapter(AdapterReport("evicted", KEY, {}, detail="capacity"))
    metrics.adapter(AdapterReport("failed", KEY, {}, detail="its files are gone"))

    samples = _samples(metrics)
    assert samples["parfocal_adapter_lookups_total", (("result", "hit"),)] == 2
    assert samples["parfocal_adapter_lookups_total", (("result", "miss"),)] == 1
    assert samples["parfocal_adapter_load_seconds_sum", (("stage", "copy"),)] == 0.125
    assert samples["parfocal_adapter_evictions_total", (("reason", "capacity"),)] == 1


def test_a_load_from_host_memory_counts_a_copy_and_one_read_ahead_counts_the_rest() -> None:
    metrics = _watching()

    metrics.adapter(AdapterReport("staged", KEY, {"fetch": 0.5, "stage": 0.25}))
    metrics.adapter(AdapterReport("loaded", KEY, {"copy": 0.125}))
    metrics.adapter(AdapterReport("loaded", KEY, {"copy": 0.125}))

    samples = _samples(metrics)
    counts = {
        stage: samples["parfocal_adapter_load_seconds_count", (("stage", stage),)]
        for stage in ("fetch", "stage", "copy")
    }
    assert counts == {"fetch": 1, "stage": 1, "copy": 2}


def test_both_tiers_are_shown_with_what_they_hold() -> None:
    metrics = ServerMetrics(50)
    other = AdapterKey("sha256:" + "2" * 64, "team/memos", 1)
    metrics.watch(
        Engine(
            AdapterStatus(KEY, "ready", "device", 8, 100, 0, host_bytes=100),
            AdapterStatus(other, "staged", "host", 8, 70, 0, host_bytes=70),
            AdapterStatus(other, "fetching", "host", 0, 0, 0),
        )
    )
    metrics.request(_request())
    samples = _samples(metrics)

    assert samples["parfocal_adapter_memory_bytes", (("tier", "device"),)] == 100
    assert samples["parfocal_adapter_memory_bytes", (("tier", "host"),)] == 170
    for tier in ("device", "host"):
        labels = ("adapter", "team/invoices"), ("tier", tier), ("version", "3")
        assert samples["parfocal_adapter_resident", labels] == 1


def test_reasons_of_eviction_exist_with_zero() -> None:
    samples = _samples(ServerMetrics(50))

    for reason in ("capacity", "host_capacity"):
        assert samples["parfocal_adapter_evictions_total", (("reason", reason),)] == 0


def test_every_kernel_that_may_be_given_up_exists_with_zero() -> None:
    samples = _samples(ServerMetrics(50))
    shown = {
        value: count
        for (name, labels), count in samples.items()
        if name == "parfocal_kernel_fallbacks_total"
        for _, value in labels
    }

    assert shown == dict.fromkeys(KERNELS, 0)


def test_a_kernel_that_is_given_up_is_counted_even_before_watching() -> None:
    metrics = ServerMetrics(50)
    for name in ("lora", "lora", "attention"):
        metrics.kernel(KernelReport(name, "RuntimeError: no kernel image is available"))
    samples = _samples(metrics)
    kernels = ("linears", "lora", "attention", "graphs")

    counts = [samples["parfocal_kernel_fallbacks_total", (("kernel", name),)] for name in kernels]
    assert counts == [0, 2, 1, 0]


def test_residency_is_read_from_the_engine_at_each_scrape() -> None:
    metrics = ServerMetrics(50)
    engine = Engine(AdapterStatus(KEY, "ready", "device", 8, 100, 0))
    metrics.watch(engine)
    metrics.request(_request())
    resident = ("adapter", "team/invoices"), ("tier", "device"), ("version", "3")

    before = _samples(metrics)
    engine.statuses = (AdapterStatus(KEY, "fetching", "host", 0, 0, 1),)
    after = _samples(metrics)

    assert before["parfocal_adapter_resident", resident] == 1
    assert before["parfocal_adapter_memory_bytes", (("tier", "device"),)] == 100
    assert not any(name == "parfocal_adapter_resident" for name, _ in after)
    assert after["parfocal_adapter_memory_bytes", (("tier", "device"),)] == 0


def test_residents_without_a_label_of_their_own_are_counted_as_other() -> None:
    metrics = ServerMetrics(adapter_labels=0)
    keys = [AdapterKey(f"sha256:{number}", f"a{number}", 1) for number in range(3)]
    metrics.watch(Engine(*(AdapterStatus(key, "ready", "device", 8, 100, 0) for key in keys)))

    resident = ("adapter", "other"), ("tier", "device"), ("version", "")

    assert _samples(metrics)["parfocal_adapter_resident", resident] == 3
