"""What a bench tells: JSON, table, picture; all from made-up figures."""

import json
from dataclasses import replace
from pathlib import Path

from matplotlib.axes import Axes

from bench.pictures import draw_found
from bench.pictures.bench_picture import bench_figure
from parfocal.bench.limits.hardware import Hardware
from parfocal.bench.limits.stored import Stored
from parfocal.bench.load.figures import Figures, Spread
from parfocal.bench.load.saturation import Saturation
from parfocal.bench.load.under_load import Load
from parfocal.bench.reports.document import document
from parfocal.bench.reports.table import bench_sections
from parfocal.bench.servers.watch import MemorySample, Rest, Watched
from parfocal.bench.stand import Bench, Served
from parfocal.bench.workloads.against import Against
from parfocal.bench.workloads.workload import Workload

WORK = Workload(
    "llama-test",
    requests=4,
    adapters=4,
    rank=4,
    prompt_tokens=24,
    new_tokens=8,
    warmup=1,
    repeats=2,
    rate=50.0,
    zipf=1.0,
    slots=2,
    sweep=(1, 4),
)
CLOSED = replace(WORK, rate=None)
WATCHED = Watched(
    tuple(MemorySample(1000 * tenth, (50 + tenth) << 20) for tenth in range(11)),
    Rest(0, 0, {"used": 0, "free": 9}, 0, 2, {"length": 10_000}),
)


def _figures(speed: float) -> Figures:
    return Figures(speed, (speed,), Spread(0.1, 0.2, 0.3), Spread(0.01, 0.02, 0.03), 0)


def _bench(workload: Workload) -> Bench:
    sweep = {count: _figures(100.0 / count) for count in workload.sweep}
    return Bench(
        workload=workload,
        served=Served(
            Load(_figures(80.0), _figures(100.0), sweep, _figures(160.0)),
            Stored("float32", "bfloat16", "int8", "float16", 8),
            "cpu",
            Saturation(100.0, 0.5),
            WATCHED,
        ),
        peft={"float32": (20.0, 10.0)},
        hardware=Hardware(1e9, 2e9, {"float32": 1e11, "bfloat16": 2e11}),
        machine={"cpu": "made up"},
        versions={"parfocal": "0"},
        endpoints={
            "vllm": Load(_figures(40.0), _figures(50.0), sweep),
            "llama.cpp": Load(_figures(20.0), None, sweep),
        },
        urls={"vllm": "http://127.0.0.1:1/v1/completions", "llama.cpp": "http://127.0.0.1:2/v1/completions"},
        against=Against("slots=4", replace(workload, slots=4)),
    )


def test_the_document_holds_every_target_and_every_number_of_the_sweep() -> None:
    found = json.loads(json.dumps(document(_bench(WORK))))

    assert found["ttft_seconds"] == {"p50": 0.1, "p90": 0.2, "p99": 0.3}
    assert found["endpoints"]["vllm"]["url"] == "http://127.0.0.1:1/v1/completions"
    assert found["endpoints"]["vllm"]["ratio_of_ours"] == 2.0
    assert found["endpoints"]["vllm"]["base_only"]["tokens_per_second"] == 50.0
    assert found["endpoints"]["llama.cpp"]["base_only"] is None
    assert [(each["adapters"], each["tokens_per_second"]) for each in found["sweep"]] == [
        (1, 100.0),
        (4, 25.0),
    ]
    assert found["sweep"][0]["limit_tokens_per_second"] > found["sweep"][1]["limit_tokens_per_second"] > 0
    assert found["sweep"][1]["endpoints"].keys() == {"vllm", "llama.cpp"}
    assert (found["workload"]["rate"], found["workload"]["zipf"]) == (50.0, 1.0)


def test_the_document_tells_of_the_alternative_the_rate_the_limit_and_what_the_server_holds() -> None:
    found = json.loads(json.dumps(document(_bench(CLOSED))))

    assert (found["against"]["what"], found["against"]["ratio"]) == ("slots=4", 0.5)
    assert found["against"]["ttft_ratio"] == {"p50": 1.0, "p90": 1.0, "p99": 1.0}
    assert found["saturation"] == {"requests_per_second": 100.0, "share": 0.5, "rate": 50.0}
    assert found["limit"]["hardware"]["fastest_dtype"] == "bfloat16"
    limit = found["limit"]["mixed"]
    assert limit["share_reached"] == 80.0 / limit["run_tokens_per_second"]
    assert found["server"]["grown_bytes"] == 9 << 20
    assert found["server"]["rest"]["is_clean"] is True


def test_a_server_that_still_holds_something_is_not_clean() -> None:
    rest = WATCHED.rest

    assert rest.is_clean
    for held in ({"requests_running": 1}, {"requests_waiting": 1}, {"blocks": {"used": 1}}, {"pins": 1}):
        assert not replace(rest, **held).is_clean


def test_the_table_names_every_target_and_why_peft_is_left_out() -> None:
    sections = bench_sections(replace(_bench(WORK), peft={}))
    said = "\n".join(cell for section in sections for row in section.rows for cell in row)

    for part in (
        "Parfocal, adapters by popularity",
        "vllm, base only",
        "to llama.cpp",
        "50 a second",
        "to slots=4",
    ):
        assert part in said
    assert "llama.cpp, base only" not in said
    assert "left out: it takes all requests at once; these come one by one" in said
    assert "4 of rank 4" in said
    assert "float32, activations in 8 bits on cpu" in said


def test_the_picture_has_percentiles_throughput_the_sweep_and_the_memory() -> None:
    first_tokens, throughput, sweep, memory = bench_figure(_bench(CLOSED)).axes

    served = ["Parfocal", "Parfocal\nbase only", "Parfocal\nslots=4", "vllm", "vllm\nbase only", "llama.cpp"]
    assert [label.get_text() for label in first_tokens.get_yticklabels()] == served
    assert len(first_tokens.patches) == 3 * len(served)
    assert [label.get_text() for label in throughput.get_yticklabels()] == [*served, "PEFT\nfloat32"]
    lines = _lines(sweep)
    assert lines["Parfocal"] == lines["vllm"] == [100.0, 25.0]
    assert any(label.startswith("roofline") for label in lines)
    assert len(memory.get_lines()[0].get_xdata()) == 11  # type: ignore[arg-type]  # points


def test_bars_that_lie_far_apart_are_all_seen_and_long_names_are_broken() -> None:
    far = {
        f"a-server-with-quite-a-long-name-{number}": Load(_figures(10.0**number), None, {})
        for number in range(7)
    }
    bench = replace(_bench(replace(CLOSED, sweep=())), endpoints=far, peft={})

    first_tokens, throughput, _ = bench_figure(bench).axes

    assert (first_tokens.get_xscale(), throughput.get_xscale()) == ("linear", "log")
    widths = [bar.get_width() for bar in throughput.patches]  # type: ignore[attr-defined]  # bars are rectangles
    left, right = throughput.get_xlim()
    assert left < min(widths) and max(widths) < right
    for label in throughput.get_yticklabels():
        assert max(map(len, label.get_text().split("\n"))) <= 36


def test_in_open_loop_the_sweep_shows_waiting_by_adapters_for_each_slot() -> None:
    sweep = bench_figure(_bench(WORK)).axes[2]

    lines = _lines(sweep)
    assert (lines["Parfocal p50"], lines["vllm p99"]) == ([0.1, 0.1], [0.3, 0.3])
    assert list(sweep.get_xticks()) == [0.5, 2.0]
    assert [label.get_text() for label in sweep.get_xticklabels()] == ["1/2", "4/2"]


def test_without_a_sweep_and_a_long_run_the_picture_has_two_parts() -> None:
    bench = _bench(replace(WORK, sweep=()))

    assert len(bench_figure(replace(bench, served=replace(bench.served, watched=None))).axes) == 2


def _lines(axes: Axes) -> dict[str, list[float]]:
    return {str(line.get_label()): list(line.get_ydata()) for line in axes.get_lines()}  # type: ignore[arg-type]  # points


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    draw_found(_bench(WORK), tmp_path / "bench.png")

    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
