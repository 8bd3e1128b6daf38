"""Everything in deploy/ passes its offline checks; a tool that is missing is skipped by its name."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import parfocal.registry.faces.hub  # noqa: F401  # what it raises counts too
from checks import EVERY, Check, Expression, Found, MissingTool, expressions, read_scrape, unknown_names
from checks.__main__ import main
from checks.check import ROOT
from parfocal.engine.errors import EngineError
from parfocal.registry import RegistryError
from parfocal.rpc import WireError
from parfocal.server import ServerError

RULES = ROOT / "deploy" / "prometheus" / "rules"
# Statuses of a server's own faults; a drain and a start refuse by plan, no request changes keys, and only the
# command reads a page of metrics.
FAULTS = {"INTERNAL", "DATA_LOSS", "UNAVAILABLE"}
NO_FAULTS = {"draining", "loading", "keys_busy", "not_measured"}


def _faults_of(run: Check) -> Found:
    try:
        return run.run()
    except MissingTool as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("check", EVERY, ids=[check.name for check in EVERY])
def test_deploy_passes(check: Check) -> None:
    assert _faults_of(check) == []


def test_the_command_tells_each_check_and_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "json"]) == 0
    assert capsys.readouterr().out == "ok     json\n"


def test_the_command_fails_over_a_metric_that_no_server_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("promql_parser", reason=str(MissingTool("promql-parser")))
    page = tmp_path / "metrics"
    page.write_text("# TYPE parfocal_threads gauge\nparfocal_threads 3\n")

    assert main(["--only", "json", "--metrics", str(page)]) == 1
    said = capsys.readouterr().out
    assert "FAILED metrics" in said
    assert "no server has the metric parfocal_requests_total" in said
    assert said.endswith("1 of 2 checks failed: metrics\n")


def test_a_missing_tool_is_named_with_the_way_to_get_it() -> None:
    missing = MissingTool("promtool")

    assert str(missing) == (
        "promtool is missing; to get it: make deploy-tools, or Debian's package prometheus"
    )


def test_a_family_without_samples_is_known_and_a_label_that_nobody_has_is_not() -> None:
    pytest.importorskip("promql_parser", reason=str(MissingTool("promql-parser")))
    scrape = read_scrape(
        "# TYPE parfocal_queue_seconds histogram\n"
        "# TYPE parfocal_requests_total counter\n"
        'parfocal_requests_total{adapter="base",version="",outcome="a\\"b"} 3.0\n'
        "parfocal_threads 3\n"
    )

    assert "parfocal_queue_seconds_bucket" in scrape.metrics
    assert scrape.labels == {
        "parfocal_requests_total": {"adapter", "version", "outcome"},
        "parfocal_threads": set(),
    }
    assert any("parfocal_kv_blocks" in line for line in unknown_names(scrape))
    assert not any("parfocal_requests_total has" in line for line in unknown_names(scrape))


def test_a_tool_is_pinned_once() -> None:
    wanted, pinned = (
        dict(line.split("==") for line in path.read_text("utf-8").lower().splitlines() if "==" in line)
        for path in (ROOT / "deploy" / "requirements.txt", ROOT / "constraints.txt")
    )

    assert set(wanted) & set(pinned) == set()


def test_every_panel_alert_and_variable_is_among_the_expressions() -> None:
    found = expressions()
    texts = " ".join(each.text for each in found)

    assert all(isinstance(each, Expression) for each in found)
    assert len(found) > 80
    assert "$__" not in texts
    assert "absent(up" in texts
    assert any(each.where.endswith("$instance") for each in found)


def _reasons(root: type[Exception]) -> Iterator[str]:
    for each in root.__subclasses__():
        yield from _reasons(each)
        if getattr(each, "status", "") in FAULTS and each.__module__.startswith("parfocal."):
            yield str(getattr(each, "reason", "")).lower()


def _outcomes(path: Path) -> set[str]:
    text = path.read_text("utf-8")
    return {
        name
        for found in re.findall(r'outcome=~\\?"([\w|]*internal[\w|]*)', text)
        for name in found.split("|")
    }


def test_failed_requests_are_those_whose_reason_is_a_servers_fault() -> None:
    reasons = {
        reason
        for root in (EngineError, RegistryError, WireError, ServerError)
        for reason in _reasons(root)
        if reason and reason not in NO_FAULTS
    }

    # Of a bug here, and of a registry elsewhere that says no more than its status.
    bare = {"internal", "unavailable", "unknown"}
    assert _outcomes(RULES / "recording.yml") == reasons | bare


@pytest.mark.parametrize("name", ["serving", "adapters"])
def test_dashboards_and_alerts_mean_the_same_by_failed(name: str) -> None:
    board = ROOT / "deploy" / "grafana" / "dashboards" / f"{name}.json"

    assert _outcomes(board) == _outcomes(RULES / "recording.yml")


def test_alerts_name_only_settings_that_the_server_has() -> None:
    from parfocal.server import ServeConfig, settings_of

    known = {f"--{setting.name.replace('_', '-')}" for setting in settings_of(ServeConfig)}
    texts = (RULES / "alerts.yml").read_text("utf-8")

    assert set(re.findall(r"--[a-z][a-z-]+", texts)) <= known
    assert yaml.safe_load(texts)["groups"]
