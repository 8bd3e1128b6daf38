"""The flags of `parfocal bench`: what is refused before anything is measured, and one run with everything."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from fakes.openai_endpoint import FakeEndpoint, openai_endpoint

Run = Callable[..., Result]


def _said(result: Result) -> str:
    """Returns what stderr says, without the frame that Typer may draw around it."""
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ranks", "8y"], "--ranks: ranks is '8y'"),
        (["--ranks", "8", "--rank", "4"], "rank and ranks are both given"),
        (["--prompt-tokens", "many"], "prompt_tokens is 'many'"),
        (["--sweep", "1,2"], "adapters=1,2,4,8"),
        (["--endpoint", "http://example.com"], "example.com is not this machine"),
        (["--endpoint-model", "{adapter}"], "there is no endpoint; add --endpoint"),
        (["--endpoint", "http://127.0.0.1:1", "--endpoint-lora-ids", "x"], "endpoint_lora_ids is 'x'"),
        (["--plot", "bench.jpg"], "call bench.jpg a .png"),
        (["--output", "absent/bench.json"], "needs the folder absent; make it"),
        (["--plot", "."], "is a folder; name a file"),
        (["--slots", "0"], "Invalid value for '--slots'"),
        (["--rate", "fast"], "rate is 'fast'; write requests per second"),
        (["--against", "shape=llama-1b"], "'shape' cannot differ; what can: adapters, slots"),
        (["--against", "slots=few"], "'few' is no value of slots"),
        (["--against", "64"], "write slots=64"),
        (["--profile", "all"], "profile is 'all'; there are steps, growth"),
    ],
)
def test_a_flag_that_cannot_be_followed_is_a_mistake_in_usage(
    run: Run, arguments: list[str], said: str
) -> None:
    result = run("bench", *arguments)

    assert result.exit_code == 2
    assert said in _said(result)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--shared-prefix", "128"],
            "parfocal: shared_prefix is 128, but the shortest prompt has 128 tokens",
        ),
        (["--prompt-tokens", "64-16"], "give 16-64"),
        (["--ranks", "8x20"], "names 20 ranks for 16 adapters"),
        (["--sweep", "adapters=1,32"], "can name 1 to 16"),
        (["--rate", "0"], "rate is 0; give a number of requests per second"),
        (["--rate", "-5%"], "rate is -5% of saturation; give a share above 0 %"),
        (["--rate", "5", "--in-flight", "2"], "rate and in_flight are both given"),
        (["--against", "slots=0"], "slots is 0; it must be at least 1"),
        (["--endpoint", "me=http://127.0.0.1:1"], "nobody answers at http://127.0.0.1:1/v1/completions"),
    ],
)
def test_work_that_cannot_be_done_is_refused_in_one_line(run: Run, arguments: list[str], said: str) -> None:
    result = run("bench", *arguments)

    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_one_run_measures_every_kind_of_load_beside_another_server(run: Run, tmp_path: Path) -> None:
    flags = {
        "shape": "llama-test",
        "requests": 4,
        "adapters": 4,
        "ranks": "4x3,32",
        "prompt-tokens": "20-40",
        "shared-prefix": 8,
        "new-tokens": 3,
        "zipf": 1.0,
        "rate": 100,
        "slots": 2,
        "warmup": 0,
        "sweep": "adapters=2",
        "against": "slots=4",
        "endpoint-base": "base",
        "cache": tmp_path / "cache",
        "plot": tmp_path / "bench.png",
    }
    with openai_endpoint(FakeEndpoint()) as fake:
        given = [f"--{name}={value}" for name, value in flags.items()]
        done = run("bench", "--json", f"--endpoint=peer={fake.url}", *given)

    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["peft_tokens_per_second"] is None
    assert 0.0 < found["ttft_seconds"]["p50"] <= found["ttft_seconds"]["p90"] <= found["ttft_seconds"]["p99"]
    assert found["workload"]["ranks"] == [4, 4, 4, 32]
    assert found["against"]["what"] == "slots=4" and found["against"]["ratio"] > 0.0
    assert found["server"]["rest"]["is_clean"] is True
    assert found["server"]["rest"]["outcomes"] == {"length": 3 * 4}
    assert found["workload"]["shortest_prompt"] == 20
    assert [each["adapters"] for each in found["sweep"]] == [2]
    assert found["sweep"][0]["endpoints"]["peer"]["tokens_per_second"] > 0.0
    assert found["endpoints"]["peer"]["tokens_per_second"] > 0.0
    assert (tmp_path / "bench.png").stat().st_size > 0
    assert len(fake.asked) == 3 * 4
    assert sum(body["model"] == "base" for _, body in fake.asked) == 4
    assert all(20 <= len(body["prompt"]) <= 40 for _, body in fake.asked)
