"""What a bench does to a target and tells of it: rounds, JSON, table, picture; all from made-up figures."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from parfocal.cli.benching.calls import Call
from parfocal.cli.benching.document import document
from parfocal.cli.benching.figures import Figures, Spread
from parfocal.cli.benching.limit import step_bytes
from parfocal.cli.benching.picture import bench_figure, draw_bench
from parfocal.cli.benching.rounds import Answer, Round
from parfocal.cli.benching.stages import SilentStages
from parfocal.cli.benching.stand import Bench, Served
from parfocal.cli.benching.table import show_bench
from parfocal.cli.benching.under_load import Load, put_under_load, rounds_of_load
from parfocal.cli.benching.workload import Workload

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


@dataclass
class FakeTarget:
    """Answers at once; the n-th round takes n seconds."""

    name: str = "fake"
    answers_base: bool = True
    rounds: list[list[Call]] = field(default_factory=list)

    def run_round(self, calls: Sequence[Call], new_tokens: int) -> Round:
        self.rounds.append(list(calls))
        return Round(len(self.rounds), len(calls) * new_tokens, (Answer(0.5, (0.1,), 0),) * len(calls))


class CountedStages(SilentStages):
    """Counts what is done."""

    count = 0

    def done(self) -> None:
        self.count += 1


def _distinct(calls: Sequence[Call]) -> int:
    return len({call.adapter for call in calls})


def test_every_kind_of_round_takes_its_turn_and_the_sweep_is_never_warmed_up() -> None:
    target, stages = FakeTarget(), CountedStages()
    put_under_load(target, WORK, stages)

    has_adapters = [calls[0].adapter != "" for calls in target.rounds]
    assert has_adapters == [True, False] + [True, False, True, True] * 2
    assert [_distinct(target.rounds[place]) for place in (4, 5, 8, 9)] == [1, 4, 1, 4]
    assert stages.count == len(target.rounds) == rounds_of_load(WORK)


def test_a_sweep_sends_everything_at_once_whatever_the_rate() -> None:
    target = FakeTarget()
    put_under_load(target, WORK, SilentStages())

    assert {call.arrives_s for call in target.rounds[4]} == {0.0}
    assert len({call.arrives_s for call in target.rounds[0]}) == WORK.requests


def test_no_two_rounds_of_a_load_share_a_prompt() -> None:
    target = FakeTarget()
    put_under_load(target, WORK, SilentStages())
    prompts = [call.prompt_ids for calls in target.rounds for call in calls]

    assert len(set(prompts)) == len(prompts)


def test_only_timed_rounds_count_and_each_kind_for_itself() -> None:
    load = put_under_load(FakeTarget(), WORK, SilentStages())

    tokens = WORK.generated_tokens
    assert load.base_only is not None
    assert load.mixed.rounds == (tokens / 3, tokens / 7)
    assert load.base_only.rounds == (tokens / 4, tokens / 8)
    assert {count: figures.rounds for count, figures in load.sweep.items()} == {
        1: (tokens / 5, tokens / 9),
        4: (tokens / 6, tokens / 10),
    }


def test_a_target_that_does_not_answer_for_the_base_is_not_asked() -> None:
    target = FakeTarget(answers_base=False)
    load = put_under_load(target, WORK, SilentStages())

    assert load.base_only is None
    assert all(call.adapter for calls in target.rounds for call in calls)


def _figures(speed: float) -> Figures:
    return Figures(speed, (speed,), Spread(0.1, 0.2, 0.3), Spread(0.01, 0.02, 0.03), 0)


def _bench(workload: Workload) -> Bench:
    sweep = {count: _figures(100.0 / count) for count in workload.sweep}
    return Bench(
        workload=workload,
        served=Served(_figures(80.0), _figures(100.0), sweep, "float32", "cpu"),
        peft={"float32": (20.0, 10.0)},
        mixed_bytes=step_bytes(workload, "float32", (4, 4)),
        base_only_bytes=step_bytes(workload, "float32", ()),
        sweep_bytes={count: step_bytes(workload, "float32", (4,) * count) for count in workload.sweep},
        copy_bytes_per_second=1e9,
        machine={"cpu": "made up"},
        versions={"parfocal": "0"},
        endpoints={
            "vllm": Load(_figures(40.0), _figures(50.0), sweep),
            "llama.cpp": Load(_figures(20.0), None, sweep),
        },
        urls={"vllm": "http://127.0.0.1:1/v1/completions", "llama.cpp": "http://127.0.0.1:2/v1/completions"},
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


def test_the_table_names_every_target_and_why_peft_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    show_bench(replace(_bench(WORK), peft={}))
    said = capsys.readouterr().out

    for part in ("Parfocal, adapters by popularity", "vllm, base only", "to llama.cpp", "50 a second"):
        assert part in said
    assert "llama.cpp, base only" not in said
    assert "left out: it takes all requests at once; these come one by one" in said
    assert "4 of rank 4" in said


def test_the_picture_has_percentiles_and_throughput_of_every_target_and_the_sweep() -> None:
    first_tokens, throughput, sweep = bench_figure(_bench(WORK)).axes

    served = ["Parfocal", "Parfocal\nbase only", "vllm", "vllm\nbase only", "llama.cpp"]
    assert [label.get_text() for label in first_tokens.get_xticklabels()] == served
    assert len(first_tokens.patches) == 3 * len(served)
    assert [label.get_text() for label in throughput.get_xticklabels()] == [*served, "PEFT\nfloat32"]
    lines = {str(line.get_label()): list(line.get_ydata()) for line in sweep.get_lines()}  # type: ignore[arg-type]  # points
    assert lines["Parfocal"] == lines["vllm"] == [100.0, 25.0]
    assert any(label.startswith("roofline") for label in lines)


def test_without_a_sweep_the_picture_has_two_parts() -> None:
    assert len(bench_figure(_bench(replace(WORK, sweep=()))).axes) == 2


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    draw_bench(_bench(WORK), tmp_path / "bench.png")

    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
