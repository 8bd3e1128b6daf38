"""parfocal registry serve: a registry's own process, which servers and commands reach over gRPC."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]


@dataclass(frozen=True)
class Served:
    process: "subprocess.Popen[str]"
    address: str
    metrics: str
    endpoint: str


@pytest.fixture
def served(published: Path) -> Iterator[Served]:
    command = [sys.executable, "-m", "parfocal.cli", "registry", "serve", "--registry", str(published)]
    anywhere = ["--grpc-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"]
    anywhere += ["--http-address", "127.0.0.1:0", "--quotas", "team=1TiB/4,*=1GiB"]
    with subprocess.Popen([*command, *anywhere], stderr=subprocess.PIPE, text=True) as process:
        try:
            address = _found(process, r"Serving registry \S+ at (\S+)")
            endpoint = _found(process, r"Answering the Hub's clients at (\S+)")
            yield Served(process, address, _found(process, r"Metrics at (\S+)"), endpoint)
        finally:
            process.terminate()
            process.communicate(timeout=60)


def _found(process: "subprocess.Popen[str]", pattern: str) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(pattern, line)
        if found is not None:
            return found[1]
    raise AssertionError("it ended without saying so")


def test_what_is_more_than_the_quota_is_refused_with_what_to_do(
    run: Run, served: Served, small_base: Path, adapter_folder: Callable[[int], Path]
) -> None:
    there = ("--registry", f"grpc://{served.address}")
    for fill in (5, 6):
        assert run("push", adapter_folder(fill), "team/other", "--base", small_base, *there).exit_code == 0
    refused = run("push", adapter_folder(7), "team/other", "--base", small_base, *there)
    assert refused.exit_code == 1
    assert "namespace 'team' has 4 versions, and may have 4: delete versions" in refused.stderr
    shown = run("registry", "usage", *there)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[1].split()[:5] == ["team", "2", "4", "of", "4"]
    assert shown.stdout.splitlines()[1].endswith("of 1.0 TiB")


def test_commands_publish_promote_and_fetch_through_it(
    run: Run, served: Served, small_base: Path, adapter_folder: Callable[[int], Path], tmp_path: Path
) -> None:
    there = ("--registry", f"grpc://{served.address}")
    for arguments in (
        ("push", adapter_folder(3), "team/invoices", "--base", small_base),
        ("alias", "team/invoices", "prod", 3, "--expect", 1),
        ("pull", "team/invoices@prod", tmp_path / "pulled"),
        ("rollback", "team/invoices", "prod"),
    ):
        done = run(*arguments, *there)
        assert done.exit_code == 0, done.output
    assert json.loads(run("show", "team/invoices@prod", "--json", *there).stdout)["version"] == 1
    moved = run("alias", "team/invoices", "prod", 2, "--expect", 3, *there)
    assert moved.exit_code == 1


def test_the_hubs_clients_see_what_is_published_over_grpc(
    run: Run, served: Served, small_base: Path, adapter_folder: Callable[[int], Path]
) -> None:
    there = ("--registry", f"grpc://{served.address}")
    assert run("push", adapter_folder(3), "team/orders", "--base", small_base, *there).exit_code == 0

    with urllib.request.urlopen(f"{served.endpoint}/api/models", timeout=30) as page:
        assert [each["id"] for each in json.load(page)] == ["team/invoices", "team/orders"]


def test_it_shows_metrics_and_ends_well(served: Served) -> None:
    with urllib.request.urlopen(served.metrics, timeout=30) as page:
        assert 'parfocal_rpcs_running{service="registry"}' in page.read().decode()
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(60) == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--grpc-address", "0.0.0.0:0"), "can be reached from other machines"),
        (("--http-address", "0.0.0.0:0"), "can be reached from other machines"),
        (("--max-uploads", "0"), "max_uploads"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    run: Run, registry: Path, flags: tuple[str, str], said: str
) -> None:
    refused = run("registry", "serve", "--registry", registry, *flags)
    assert refused.exit_code == 2
    assert said.replace("_", "-") in refused.output.replace("_", "-").replace("\n", " ")
