"""`parfocal bench` from end to end on the smallest shape, with the real server and the real PEFT."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

WORKLOAD = {"requests": 3, "adapters": 2, "rank": 4, "prompt_tokens": 20, "new_tokens": 3, "warmup": 1}
SMALLEST = ("bench", "--shape", "llama-test")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _flags(cache: Path, **more: object) -> list[str]:
    settings = {**WORKLOAD, "cache": cache, **more}
    return [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]


def test_a_bench_measures_us_and_peft_and_says_on_what(cache: Path, tmp_path: Path) -> None:
    written = tmp_path / "bench.json"
    command = [sys.executable, "-m", "parfocal.cli", *SMALLEST, "--json"]
    flags = _flags(cache, repeats=2, output=written)
    done = subprocess.run([*command, *flags], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == json.loads(written.read_text())
    assert found["ratio_to_peft"] == found["tokens_per_second"] / found["peft_tokens_per_second"]
    assert found["ratio_to_base_only"] == found["tokens_per_second"] / found["base_only_tokens_per_second"]
    for name in ("ttft_seconds", "inter_token_seconds"):
        assert 0.0 < found[name]["p50"] <= found[name]["p99"]
    assert len(found["rounds"]["tokens_per_second"]) == 2
    peft = found["rounds"]["peft_tokens_per_second"]
    assert found["peft_tokens_per_second"] == max(sum(speeds) / 2 for speeds in peft.values())
    assert {"float32", "bfloat16"} <= peft.keys()
    assert found["cached_prompt_tokens"] == 0
    assert WORKLOAD.items() <= found["workload"].items()
    assert {"cpu", "cores", "threads", "load_before"} <= found["machine"].keys()
    assert {"parfocal", "torch", "peft", "bitsandbytes"} <= found["versions"].keys()
    assert 0.0 < found["limit"]["mixed"]["share_reached"] < 1.0


def test_a_bench_without_peft_prints_our_own_figures(run: Callable[..., Result], cache: Path) -> None:
    done = run(*SMALLEST, *_flags(cache, repeats=1, warmup=0), "--skip-peft")

    assert done.exit_code == 0, done.stderr
    assert "Parfocal, adapters in turn" in done.stdout
    assert "to our base only" in done.stdout
    assert "PEFT" not in done.stdout


def test_an_impossible_workload_is_refused_in_one_line(run: Callable[..., Result]) -> None:
    done = run(*SMALLEST, "--prompt-tokens", "600")

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("parfocal: 600 prompt and 64 new tokens exceed the 512 tokens")
    assert done.stderr.count("\n") == 1
