"""Rules and dashboards against a running server: each metric is there, and Debian's Prometheus takes them."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from checks import MissingTool, expressions, read_scrape, unknown_names
from checks.check import DEPLOY, tool
from fakes.started_server import Started, started

FOLDER = DEPLOY / "prometheus"
FREE = "127.0.0.1:0"
LIMIT_S = 90
# The disk that tests run on may be as full as it likes.
OF_THE_MACHINE = {"ParfocalDiskFilling", "ParfocalDiskFull"}
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A server on the embedded base that has answered once."""
    folder = tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "parfocal.cli", "serve", "--base", "tiny", "--http-address", ""]
    flags = ["--grpc-address", FREE, "--metrics-address", FREE, "--kv-cache-bytes", "8MiB"]
    kept = ["--registry", str(folder / "registry"), "--base-cache", str(folder / "bases")]
    with started([*command, *flags, *kept], os.environ, folder / "log") as found:
        ask = ["generate", "Good morning", "--max-tokens", "4", "--address", found.grpc]
        subprocess.run([sys.executable, "-m", "parfocal.cli", *ask], check=True, capture_output=True)
        yield found


@pytest.fixture(scope="module")
def prometheus(server: Started, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Yields a function that asks a Prometheus, which scrapes the server as our configuration says."""
    try:
        program = tool("prometheus")
    except MissingTool as missing:
        pytest.skip(str(missing))
    folder, address = tmp_path_factory.mktemp("prometheus"), f"127.0.0.1:{_free_port()}"
    flags = [f"--config.file={_configuration(server, folder)}", f"--storage.tsdb.path={folder / 'data'}"]
    command = [program, *flags, f"--web.listen-address={address}"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        try:
            yield lambda path, **query: _ask(address, path, query)
        finally:
            process.terminate()
            process.wait(30)


def _configuration(server: Started, folder: Path) -> Path:
    """Ours, with this server as the target and a second for a quarter of a minute."""
    settings = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(FOLDER / name) for name in settings["rule_files"]]
    (job,) = [each for each in settings["scrape_configs"] if each["job_name"] == "parfocal"]
    job["static_configs"] = [{"targets": [server.metrics]}]
    settings["scrape_configs"] = [job]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(settings), "utf-8")
    return path


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _ask(address: str, path: str, query: dict[str, str]) -> Any:
    """What the API answers; None while Prometheus does not listen yet."""
    url = f"http://{address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return json.loads(reply.read())["data"]
    except urllib.error.HTTPError as error:
        if error.code == 503:
            return None
        raise AssertionError(f"{url}: {error.read().decode()}") from error
    except urllib.error.URLError:
        return None


def _until(ask: Callable[[], Any]) -> Any:
    """Asks until the answer is something."""
    until = time.monotonic() + LIMIT_S
    while not (answer := ask()):
        assert time.monotonic() < until, "Prometheus has not answered as it should"
        time.sleep(0.2)
    return answer


def test_every_metric_of_rules_and_dashboards_is_on_a_running_servers_page(server: Started) -> None:
    pytest.importorskip("promql_parser", reason=str(MissingTool("promql-parser")))

    assert unknown_names(read_scrape(server.page())) == []


def test_prometheus_scrapes_a_server_and_finds_nothing_to_alert_of(prometheus: Ask) -> None:
    query = 'parfocal_requests_total{adapter="base", outcome="length"}'
    (answered,) = _until(lambda: (prometheus("query", query=query) or {}).get("result"))

    rules = _until(lambda: _settled(prometheus("rules")))

    assert (answered["metric"]["job"], float(answered["value"][1])) == ("parfocal", 1)
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    assert {rule["state"] for rule in rules if rule["type"] == "alerting"} == {"inactive"}
    assert len(rules) > 20


def _settled(answer: Any) -> list[dict[str, Any]]:
    """The rules, once each was evaluated and none waits for its time: before the first scrape one does."""
    groups = (answer or {}).get("groups", [])
    rules = [rule for group in groups for rule in group["rules"] if rule["name"] not in OF_THE_MACHINE]
    waits = any(rule["health"] == "unknown" or rule.get("state") == "pending" for rule in rules)
    return [] if waits else rules


def test_prometheus_answers_every_panel_of_every_dashboard(prometheus: Ask) -> None:
    _until(lambda: (prometheus("query", query="up == 1") or {}).get("result"))

    for each in expressions():
        text = each.text.replace("$job", ".*").replace("$instance", ".*")
        assert prometheus("query", query=text) is not None, each.where


def test_an_idle_server_has_no_request_running(server: Started) -> None:
    samples = dict(line.rsplit(" ", 1) for line in server.page().splitlines() if not line.startswith("#"))

    assert (samples["parfocal_requests_running"], samples["parfocal_requests_waiting"]) == ("0.0", "0.0")
