"""The stand for a GPU, where there is none: its parts in tiny, its limits, and what it rests on."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.gpu_stand.device_base import random_bases, random_in_pieces, random_quantised, write_checkpoint
from bench.gpu_stand.launch_profile import (
    PARTS,
    Launched,
    a_step,
    by_part,
    counted,
    launches,
    launches_a_layer,
    part_of,
    table,
)
from bench.gpu_stand.notes import Notes
from bench.gpu_stand.parts import sanitizer, tests
from bench.gpu_stand.peft_twins import batch_of_twins
from bench.gpu_stand.run import BESIDE, LIMITS_S, MINUTES
from bench.gpu_stand.sampled_rows import measure_all as measure_sampling
from bench.gpu_stand.setting import Setting
from bench.gpu_stand.turns import Part, take_turns
from bench.rivals.peft_batch import batch_on
from oracle.resident_training import train_steps, trainable_base, with_fresh_adapter
from parfocal.bench.made.adapters import write_adapter
from parfocal.bench.workloads.shapes import shape_named
from parfocal.engine import EngineConfig
from parfocal.engine.backends import cuda
from parfocal.engine.loading import Loading, load_base, load_quantised

ROOT = Path(__file__).resolve().parents[2]
ASKED = ("compile", "products", "launches", "profile", "fits", "cold", "same")
EXACT = Loading(torch.float32, torch.device("cpu"), "sdpa", exact=True)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    setting = Setting(True, tmp_path, tmp_path)
    setting.write_base()
    return setting


@pytest.fixture(scope="module")
def dried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a dry run of some parts prints."""
    folder = tmp_path_factory.mktemp("dry")
    places = {"BENCH_PYTHON": sys.executable, "BENCH_RESULTS": str(folder / "results")}
    stand = str(ROOT / "tests" / "bench" / "gpu.sh")
    words = ("--dry", "--minutes", "9", *ASKED)

    done = subprocess.run(
        [stand, *words],
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=590,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["results"] == str(folder / "results")
    return summary


def test_a_dry_run_prints_one_json_of_every_part_that_was_asked_for(dried: dict[str, Any]) -> None:
    assert dried.keys() == {"card", "is_dry", "seconds", "results", "missing_libraries", "parts"}
    assert dried["is_dry"] is True
    parts = dried["parts"]
    assert parts.keys() == {*ASKED, "prepare", "hardware"}
    assert all(part["status"] == "ok" for part in parts.values())
    assert parts["hardware"]["summary"].keys() == {
        "copy_gb_per_second",
        "read_gb_per_second",
        "tflops",
        "host_to_device_gb_per_second",
    }
    cold = parts["cold"]["summary"]
    assert cold["loads"] > 0 and cold["ready_ms"] >= cold["copy_ms"] > 0.0
    assert cold["ready_over_bus"] == pytest.approx(cold["ready_ms"] / cold["bus_ms"])
    assert {path.name for path in Path(dried["results"]).iterdir()} == {
        *(f"{name}.json" for name in parts),
        "profile.md",
        "profile.png",
        "summary.json",
    }


def test_a_dry_run_measures_every_product_beside_bitsandbytes_and_cublas(dried: dict[str, Any]) -> None:
    assert dried["parts"]["products"]["summary"]["faults"] == {}
    found = dried["parts"]["products"]["summary"]["microseconds"]
    assert [one["product"] for one in found] == [
        name for name in ("qkv", "o", "gate_up", "down") for _ in "12"
    ]
    for one in found:
        ways = {"bytes", "levels", "levels_unsummed", "bitsandbytes", "dense"}
        assert one.keys() == {"product", "rows", *ways}
        assert all(one[way] > 0 for way in ways)


def test_a_dry_run_counts_a_layers_launches_fused_and_not(dried: dict[str, Any]) -> None:
    found = dried["parts"]["launches"]["summary"]["layer"]
    by_way = {way: [one for one in found if one["way"] == way] for way in ("fused", "modules")}
    assert [(one["rows"], one["adapters"]) for one in by_way["fused"]] == [
        (1, kind) for kind in ("base", "one", "one_in_tiles", "distinct")
    ]
    assert [one["launches_a_layer"] for one in by_way["fused"]] == [10.0, 10.0, 12.0, 10.0]
    assert all(one["launches_a_layer"] > 20 for one in by_way["modules"])


def test_a_dry_run_profiles_decode_steps_and_prompts(dried: dict[str, Any]) -> None:
    found = dried["parts"]["profile"]["summary"]
    kinds = [(one["rows"], one["adapters"]) for one in found["decode"]]
    assert kinds == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (4, 0), (4, 1), (4, 4)]
    assert [one["tokens_a_step"] for one in found["decode"]] == [float(rows) for rows, _ in kinds]
    assert all(one["launches_a_step"] > one["launches_a_layer"] > 0 for one in found["decode"])
    by_kind = dict(zip(kinds, found["decode"], strict=True))
    assert by_kind[4, 4]["launches_a_layer"] > by_kind[4, 0]["launches_a_layer"]
    assert [(one["rows"], one["adapters"]) for one in found["prompts"]] == [(4, 0), (4, 1), (4, 4)]
    assert all(one["tokens_a_step"] > 4 for one in found["prompts"])
    assert all(one["tokens_a_full_step"] == 4 * 24 for one in found["prompts"])
    assert all(one["tflops"] > 0 and one["share_of_the_cards_most"] > 0 for one in found["prompts"])
    table = (Path(dried["results"]) / "profile.md").read_text()
    assert "| launches a layer |" in table and "| 4 x 4 |" in table
    named = {line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")}
    assert {PARTS[-1], "all kernels", "launches a step"} <= named
    others = {"microseconds a step (launches)", "all kernels", "launches a step", "launches a layer"}
    assert named <= {*PARTS, *others}


def test_a_dry_run_trains_and_serves_a_base_that_was_made_in_pieces(dried: dict[str, Any]) -> None:
    found = dried["parts"]["fits"]["summary"]
    assert found.keys() == {"making", "training", "serving"}
    assert all(one["limit_bytes"] == 48 << 30 for one in found.values())
    assert found["training"]["loss"] > 0
    assert found["serving"]["adapters"] == 3 and found["serving"]["tokens_per_second"] > 0


def test_a_base_made_in_pieces_has_every_weight_and_the_rotations_of_its_configuration(
    setting: Setting,
) -> None:
    pieces, whole = random_in_pieces(setting.base, EXACT), random_quantised(setting.base, EXACT)

    assert pieces.state_dict().keys() == whole.state_dict().keys()
    assert not any(tensor.is_meta for tensor in (*pieces.parameters(), *pieces.buffers()))
    buffers = dict(whole.named_buffers())
    rotations = {name: own for name, own in pieces.named_buffers() if "inv_freq" in name}
    assert rotations and all(torch.equal(own, buffers[name]) for name, own in rotations.items())
    ids = torch.arange(9)[None]
    assert pieces(ids).logits.isfinite().all()


def test_a_decode_step_is_what_a_longer_answer_launches_beyond_a_shorter_one() -> None:
    prompt = [("prefill_kernel", 9.0), ("Memcpy HtoD", 1.0)]
    layer = [("norm_kernel", 2.0), ("joint_kernel", 10.0), ("decode_kernel", 4.0)]
    step = [*layer, *layer, ("norm_kernel", 2.0), ("nvjet_tst_64x8", 30.0), ("likeliest_kernel", 3.0)]

    kernels = a_step(counted(prompt + 5 * step), counted(prompt + 2 * step), 3)

    assert "prefill_kernel" not in kernels and "Memcpy HtoD" not in kernels
    assert kernels["norm_kernel"] == Launched(3, 6.0)
    assert launches(kernels) == 9
    assert launches_a_layer(kernels, 2) == 3
    assert {part: own.microseconds for part, own in by_part(kernels).items()} == {
        "4-bit products": 20.0,
        "attention": 8.0,
        "sampling": 3.0,
        "norms, rotations, gates": 6.0,
        "dense products": 30.0,
    }
    lines = table({"1 x 0": kernels}, 2).splitlines()
    assert "| 4-bit products | 20 (2) |" in lines
    assert lines[-3:] == ["| all kernels | 67 |", "| launches a step | 9 |", "| launches a layer | 3 |"]


@pytest.mark.parametrize(
    ("kernel", "part"),
    [
        ("product_16", "4-bit products"),
        ("void kgemm_4bit_inference_naive<__nv_bfloat16, 128>", "4-bit products"),
        ("shrink", "LoRA shrink"),
        ("expand", "LoRA expand"),
        ("combine_kernel", "attention"),
        ("Memset (Device)", "copies"),
        ("sm90_xmma_gemm_bf16bf16", "dense products"),
        ("void at::native::vectorized_elementwise_kernel<4>", "others of torch"),
    ],
)
def test_a_kernels_name_tells_what_it_is_for(kernel: str, part: str) -> None:
    assert part_of(kernel) == part


def launched_kernels() -> set[str]:
    """Names what the CUDA backend launches: Triton's kernels by a grid in brackets, C++'s by their mark."""
    names = set[str]()
    for path in Path(cuda.__path__[0]).rglob("*"):
        if path.suffix == ".py":
            text = path.read_text()
            names |= set(re.findall(r"\b([a-z_]+)\[[^\]]+\]\(\n", text)) | set(
                re.findall(r"\b([a-z]+_kernel)\[", text)
            )
        elif path.suffix == ".cu":
            names |= set(re.findall(r"__global__.* (\w+)\(const", path.read_text()))
    return names


def test_every_kernel_of_ours_has_a_part_of_its_own_in_the_profile() -> None:
    names = launched_kernels()

    assert {"product_kernel", "product_16", "shrink", "expand", "draw_kernel", "store_kernel"} <= names
    assert {name for name in names if part_of(name) == PARTS[-1]} == set()


def test_what_tells_the_most_is_measured_in_the_first_ten_minutes() -> None:
    order = [name for name in LIMITS_S if name not in BESIDE]

    assert order[:7] == ["tests", "hardware", "products", "launches", "decode", "profile", "mixed"]
    assert sum(LIMITS_S[name] for name in order[:7]) <= 600
    assert max(LIMITS_S[name] for name in BESIDE) <= LIMITS_S["tests"]
    assert sum(LIMITS_S[name] for name in order) <= 60 * MINUTES


def test_a_dry_run_tells_how_many_answers_are_the_same_beside_others(dried: dict[str, Any]) -> None:
    found = dried["parts"]["same"]["summary"]
    assert found.keys() == {"usual", "deterministic", "cost_alone", "cost_beside"}
    promised = found["deterministic"]
    assert promised["prompts"] == promised["same_tokens"] == promised["same_logprobs"] > 0
    assert promised["largest_logprob_difference"] == 0.0


def summary_of(setting: Setting, part: str, measure: Callable[[Setting, Notes], None]) -> dict[str, Any]:
    """What a part of its own, in this process, says in a dry run."""
    measure(setting, Notes(part, setting.results))
    summary: dict[str, Any] = json.loads((setting.results / f"{part}.json").read_text())["summary"]
    return summary


def test_the_part_of_tests_runs_kernels_dry_and_skips_what_needs_a_card(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)

    found = summary_of(setting, "tests", tests.measure)

    assert (found["exit_code"], found["failed"], found["failed_tests"]) == (0, 0, [])
    assert found["passed"] > 10 and found["skipped"] > 5


def test_what_the_sanitizer_runs_is_there() -> None:
    assert [name for name in sanitizer.KERNEL_FILES if not (ROOT / name).is_file()] == []


def test_rows_launch_few_kernels_whatever_they_ask_for(setting: Setting) -> None:
    found = summary_of(setting, "sampling", measure_sampling)

    assert found["rejected"] == {}
    launched = {(one["kind"], one["way"]): one["launches"] for one in found["sampling"]}
    assert {kind: count for (kind, way), count in launched.items() if way == "kernels"} == {
        "greedy": 1,
        "drawn": 2,
        "penalised": 3,
        "penalised and drawn": 4,
        "biased and banned": 3,
        "half penalised and drawn": 4,
    }
    assert launched["penalised and drawn", "torch"] > 20
    assert not any(one.get("other_tokens") for one in found["sampling"])


def test_without_a_gpu_only_a_dry_run_is_run(tmp_path: Path) -> None:
    places = {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT / "tests")}

    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "bench" / "gpu.py")],
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "--dry" in done.stderr


def _part(name: str, code: str, limit_s: float = 60.0) -> Part:
    waiting = "import json, pathlib, sys, time; sys.stdin.readline() or sys.exit(0)\n"
    return Part(name, limit_s, [sys.executable, "-c", waiting + code])


def test_a_part_that_fails_or_hangs_loses_no_other(tmp_path: Path) -> None:
    def found(name: str) -> str:
        return f"pathlib.Path({str(tmp_path / name)!r}).write_text(json.dumps({{'summary': {{'a': 1}}}}))"

    parts = [
        _part("crashes", "sys.exit(7)"),
        _part("hangs", f"{found('hangs.json')}; time.sleep(600)", limit_s=3.0),
        _part("measures", found("measures.json")),
    ]

    outcomes = take_turns(parts, tmp_path, time.monotonic() + 600.0, ahead=1)

    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        "crashes": "failed",
        "hangs": "timed out",
        "measures": "ok",
    }
    assert "code 7" in outcomes["crashes"].error
    assert outcomes["hangs"].summary == outcomes["measures"].summary == {"a": 1}


def test_parts_for_which_no_time_is_left_are_skipped(tmp_path: Path) -> None:
    outcomes = take_turns([_part("late", "")], tmp_path, time.monotonic(), ahead=0)

    assert outcomes["late"].status == "skipped"


def test_a_base_made_in_memory_is_the_one_that_its_checkpoint_would_load(
    setting: Setting, tmp_path: Path
) -> None:
    write_checkpoint(setting.base, tmp_path / "checkpoint", EXACT)

    made, loaded = random_quantised(setting.base, EXACT), load_quantised(tmp_path / "checkpoint", EXACT)

    ours, theirs = made.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_twins_in_peft_say_what_peft_says_of_adapters_that_it_loads(setting: Setting, tmp_path: Path) -> None:
    shape = shape_named(setting.scale.shape)
    adapters = {name: write_adapter(shape, 4, tmp_path / name, seed) for seed, name in enumerate("abc")}
    ids = torch.randint(512, (4, 9), generator=torch.Generator().manual_seed(0))
    rows = ["adapter-2", "adapter-0", "adapter-1", "__base__"]

    logits = [
        make(random_quantised(setting.base, EXACT), adapters, "float32", "cpu").model(ids, adapter_names=rows)
        for make in (batch_on, batch_of_twins)
    ]

    assert torch.equal(logits[0].logits, logits[1].logits)


def test_training_goes_through_the_memory_of_the_resident_base(setting: Setting) -> None:
    config = EngineConfig(device="cpu", dtype="float32", kernels="torch", unpack_bytes=0)
    with random_bases():
        resident = load_base(setting.base, config)

    model = trainable_base(resident, setting.base)
    held = {parameter.data_ptr() for parameter in resident.model.parameters()}
    assert {parameter.data_ptr() for parameter in model.parameters()} == held
    steps = train_steps(with_fresh_adapter(model, rank=4), torch.arange(24)[None], steps=6, rate=1e-2)

    assert steps[-1].loss < steps[0].loss - 0.5
