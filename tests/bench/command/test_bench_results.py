"""The table that is made of a folder of results."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from parfocal.cli.benching.flag_values import PROFILES

BENCH = Path(__file__).resolve().parents[1]
TIMES = "\N{MULTIPLICATION SIGN}"
MACHINE: dict[str, Any] = {
    "machine": {"cpu": "made up", "cores": 2, "system": "Linux"},
    "versions": {"parfocal": "0"},
    "limit": {"hardware": {"bytes_per_second": 2e10, "flops_per_second": 4e11, "fastest_dtype": "bfloat16"}},
}
SPEEDS: dict[str, Any] = {
    "tokens_per_second": 170.0,
    "against": {"what": "rank=8", "tokens_per_second": 200.0, "ratio": 0.85},
}
LONG = {
    "workload": {"requests": 10_000},
    "server": {
        "memory": [{"requests": 10_000, "rss_bytes": 900 << 20}],
        "grown_bytes": -(3 << 20),
        "rest": {"is_clean": True, "outcomes": {"length": 10_000}, "blocks": {"used": 0}, "pins": 0},
    },
}


def _table(folder: Path) -> str:
    command = [sys.executable, str(BENCH / "table.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_table_has_a_row_for_each_workload_that_was_measured(tmp_path: Path) -> None:
    (tmp_path / "mixed.json").write_text(json.dumps({**MACHINE, **SPEEDS}))
    (tmp_path / "d_long.json").write_text(json.dumps({**MACHINE, **LONG}))

    said = _table(tmp_path).splitlines()

    assert said[:4] == [
        "| workload | measured | compared |",
        "|---|---|---|",
        f"| 15 adapters of rank 8 and one of 128 | 170 tokens/s | 0.85 {TIMES} rank=8 (200 tokens/s) |",
        "| 10000 requests, 1,000 adapters, 32 slots | 900 MiB resident, -3 MiB since a tenth "
        "| held at the end: nothing; ended: 10000 length |",
    ]
    assert "made up, 2 cores; 20.0 GB/s, 400 GFLOP/s in bfloat16; Linux." in said


def test_another_servers_base_is_compared_with_ours(tmp_path: Path) -> None:
    base = {**SPEEDS["against"], "tokens_per_second": 300.0}
    limit = {**MACHINE["limit"], "base_only": {"share_reached": 0.5, "run_tokens_per_second": 600.0}}
    peer = {"vllm": {"base_only": {"tokens_per_second": 150.0}}}
    (tmp_path / "base.json").write_text(
        json.dumps({**MACHINE, "limit": limit, "base_only": base, "endpoints": peer})
    )

    assert _table(tmp_path).splitlines()[2:4] == [
        "| 16 requests, base only | 300 tokens/s | 50% of the limit, 600 tokens/s |",
        f"| vllm, base only | 150 tokens/s | our base only is 2.00 {TIMES} |",
    ]


def test_every_workload_of_the_script_has_rows_in_the_table() -> None:
    usual = re.search(r"then set -- (.+); fi", (BENCH / "run.sh").read_text())
    assert usual is not None

    assert set(usual[1].split()) == set(
        re.findall(r'^    "(\w+)": _', (BENCH / "table.py").read_text(), re.M)
    )


def test_the_script_runs_every_profile() -> None:
    script = (BENCH / "run.sh").read_text()

    assert all(f"--profile {profile} " in script for profile in PROFILES)
