"""`parfocal alias --canary` and `parfocal canary`, and how `ls`, `log` and `show` tell of canaries."""

from pathlib import Path

import pytest

from fakes.command_results import Run
from fakes.command_results import json_of as _json
from fakes.command_results import refusal_of as _refusal
from fakes.registry.publisher import numbered_adapter, small_publication
from parfocal.registry import CanaryComparison, FolderRegistry, GuardedMetric

PROD = "team/invoices@prod"
BEGIN = ("alias", "team/invoices", "prod", "--canary", 2, "--weight", 12.5)


@pytest.fixture
def split(run: Run, tmp_path: Path, registry: Path) -> Path:
    """A registry whose prod points at the first of three versions, and gives an eighth to the second."""
    opened, publication = FolderRegistry(registry), small_publication(tmp_path)
    for number in (1, 2, 3):
        opened.publish("team/invoices", numbered_adapter(tmp_path, number), publication)
    opened.set_alias("team/invoices", "prod", 1)
    done = run(*BEGIN, "--abort-on", "errors+1%", "--abort-on", "ttft+20%", "--samples", 40, "--actor", "ann")
    assert done.exit_code == 0, done.output
    assert done.stdout == "team/invoices@prod means version 1, and gives 12.5 % to 2\n"
    return registry


def test_a_canary_is_shown(run: Run, split: Path) -> None:
    shown = run("canary", PROD).stdout
    for told in ("version 1", "version 2", "12.5 %", "by ann", "errors worse by more than 0.01 after 40"):
        assert told in shown
    document = _json(run, "canary", PROD)
    assert document["version"] == 1
    assert document["measured"] is None
    assert (document["canary"]["version"], document["canary"]["weight_percent"]) == (2, 12.5)
    assert document["canary"]["guards"][1] == {"metric": "ttft", "margin": 0.2, "samples": 40}


def test_a_canary_is_shown_also_where_no_server_tells_what_it_measured(run: Run, split: Path) -> None:
    address = ("--metrics-address", "127.0.0.1:1")

    shown = run("canary", "team/invoices@prod", *address)
    document = run("canary", "team/invoices@prod", *address, "--json")

    for outcome in (shown, document):
        assert outcome.exit_code == 0
        assert "warning: no metrics page at http://127.0.0.1:1/metrics" in outcome.output
    assert "weight" in shown.output
    assert '"measured": null' in document.output


def test_lists_and_pages_tell_of_a_canary(run: Run, split: Path) -> None:
    assert "prod→1 (12.5 % 2)" in run("ls").stdout
    versions = run("ls", "team/invoices").stdout
    assert "prod (canary, 12.5 %)" in versions
    assert "prod (but 12.5 % to 2)" in versions
    assert "prod (canary, 12.5 %)" in run("show", "team/invoices@2").stdout
    assert _json(run, "ls")["adapters"][0]["canaries"]["prod"]["version"] == 2
    assert "canary version 2 for 12.5 %" in run("log", "team/invoices").stdout


def test_promote_moves_the_alias_and_the_log_tells(run: Run, split: Path) -> None:
    done = run("canary", PROD, "promote", "--actor", "bob")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("team/invoices@prod now means version 2 (")
    assert "set, canary 2 promoted" in run("log", "team/invoices").stdout
    assert "alias 'prod' of 'team/invoices' has no canary" in _refusal(run("canary", PROD, "promote"))


def test_abort_leaves_the_alias_where_it_is(run: Run, split: Path) -> None:
    done = run("canary", PROD, "abort")
    assert done.stdout == "Aborted canary 2: team/invoices@prod means version 1 alone\n"
    assert "abort, canary 2 aborted" in run("log", "team/invoices").stdout
    assert _json(run, "canary", PROD)["canary"] is None


def test_the_log_tells_why_a_server_aborted_a_canary(run: Run, split: Path) -> None:
    registry = FolderRegistry(split)
    canary = registry.resolve(PROD).canary
    assert canary is not None
    found = CanaryComparison(GuardedMetric.ERRORS, 0.01, 0.975, 40, 300, 0.5, 0.01, 0.49, 0.3, 0.6)
    registry.abort_canary("team/invoices", "prod", canary.number, "server", (found,))
    told = " ".join(run("log", "team/invoices").stdout.split())
    assert "errors 0.5 of 40 requests against 0.01 of 300" in told
    (move,) = [each for each in _json(run, "log", "team/invoices")["moves"] if each["kind"] == "abort"]
    assert move["canary"]["comparisons"][0]["low"] == 0.3


def test_a_rollback_passes_over_canaries(run: Run, split: Path) -> None:
    run("alias", "team/invoices", "prod", 3)
    run(*BEGIN)
    assert run("rollback", "team/invoices", "prod").exit_code == 0
    run(*BEGIN)
    run("canary", PROD, "abort")
    assert "was rolled back already" in _refusal(run("rollback", "team/invoices", "prod"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("alias", "team/invoices", "prod", 3, "--weight", 5), "--canary"),
        (("alias", "team/invoices", "prod", 3, "--canary", 2), "VERSION"),
        (("alias", "team/invoices", "prod", "--canary", 2, "--weight", 100), "--weight"),
        ((*BEGIN, "--abort-on", "none", "--abort-on", "ttft"), "none"),
        (("canary", "team/invoices@3"), "NAME@ALIAS"),
        (("canary", PROD, "abort", "--override", "--reason", "x"), "promote"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    run: Run, split: Path, arguments: tuple[object, ...], told: str
) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert told in done.output


def test_a_metric_that_nobody_knows_is_refused(run: Run, split: Path) -> None:
    told = _refusal(run(*BEGIN, "--abort-on", "latency"))
    assert "those are errors, ttft, tokens" in told
