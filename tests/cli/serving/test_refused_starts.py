"""What keeps a server from starting: settings that are refused end it with 2, what may pass with 1."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]
FREE = ("--grpc-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--metrics-address=127.0.0.1:0")


def test_a_taken_address_is_refused_before_anything_is_loaded(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        results = [
            run("serve", *FREE, flag, address, "--registry", str(tmp_path))
            for flag in ("--grpc-address", "--metrics-address")
        ]

    assert [result.exit_code for result in results] == [1, 1]
    lines = [result.stderr.splitlines() for result in results]
    assert lines == [
        [f"parfocal: --grpc-address: cannot listen at {address}: Address already in use; choose another"],
        [
            f"parfocal: --metrics-address: cannot show metrics at {address}: Address already in use; "
            "choose another"
        ],
    ]


@pytest.fixture
def clean_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Returns a patch of an environment that names a registry."""
    monkeypatch.setenv("PARFOCAL_REGISTRY", str(tmp_path / "registry"))
    return monkeypatch


@pytest.mark.parametrize(
    ("flags", "environment", "expected"),
    [
        (["--base", "/nonexistent/base"], {}, "/nonexistent/base"),
        (["--base", "tiny", "--grpc-address", "nowhere"], {}, "--grpc-address: 'nowhere'"),
        (["--base", "tiny", "--metrics-address", "nowhere"], {}, "--metrics-address: 'nowhere'"),
        (["--base", "tiny", "--pin", "Team/Nobody"], {}, "Team/Nobody"),
        (["--base", "tiny", "--device", "abacus"], {}, "device 'abacus' is unknown"),
        (["--base", "tiny", "--kv-cache-bytes", "1"], {}, "kv_cache_bytes 1 cannot hold"),
        (["--base", "tiny", "--keys", "/nonexistent/keys"], {}, "/nonexistent/keys"),
        (["--base", "tiny", "--tls-cert", "/nonexistent/tls.crt"], {}, "tls_key"),
        (["--base", "tiny", "--registry", "/proc"], {}, "/proc"),
        (["--base", "tiny", "--pin", "a,b", "--slots", "2"], {}, "pin names 2 adapters"),
        ([], {"PARFOCAL_SLOT": "3"}, "PARFOCAL_SLOTS"),
        ([], {"PARFOCAL_SLOTS": "none"}, "a whole number"),
        (["--config", "/nonexistent/parfocal.toml"], {}, "/nonexistent/parfocal.toml"),
    ],
)
def test_settings_that_are_refused_end_a_server_with_one_line_as_wrong_flags_do(
    run: Run,
    clean_registry: pytest.MonkeyPatch,
    flags: list[str],
    environment: dict[str, str],
    expected: str,
) -> None:
    for name, value in environment.items():
        clean_registry.setenv(name, value)

    result = run("serve", *FREE, *flags)

    *before, last = result.stderr.splitlines()
    assert result.exit_code == 2
    assert last.startswith("parfocal: ") and expected in last
    assert all(line.startswith("Loading the base") for line in before)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("slot = 3", "slots"),
        ('slots = "many"', "a whole number"),
        ("slots =", "is not TOML"),
        ('keys = "/nonexistent/keys"', "/nonexistent/keys"),
    ],
)
def test_a_file_of_settings_that_is_wrong_ends_a_server_as_wrong_flags_do(
    run: Run, clean_registry: pytest.MonkeyPatch, tmp_path: Path, text: str, expected: str
) -> None:
    file = tmp_path / "parfocal.toml"
    file.write_text(text)
    clean_registry.setenv("PARFOCAL_CONFIG", str(file))

    results = [run("serve", *FREE), run("registry", "serve", "--grpc-address=127.0.0.1:0")]

    assert [result.exit_code for result in results] == [2, 2]
    assert all(expected in result.stderr.splitlines()[-1] for result in results)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--base", "org/name"], "cannot be fetched from the Hub"),
        (["--base", "tiny", "--device", "cuda:64"], "is not here"),
        (["--base", "tiny", "--memory-bytes", "1MiB"], "the engine needs at least"),
        (["--base", "tiny", "--pin", "team/nobody"], "team/nobody"),
        (["--base", "tiny", "--pin", "a", "--registry", "grpc://127.0.0.1:1"], "127.0.0.1:1"),
    ],
)
def test_what_may_pass_by_itself_ends_a_server_with_another_code(
    run: Run, clean_registry: pytest.MonkeyPatch, flags: list[str], expected: str
) -> None:
    clean_registry.setenv("HF_ENDPOINT", "http://127.0.0.1:1")

    result = run("serve", *FREE, *flags)

    assert result.exit_code == 1, result.output
    assert expected in result.stderr.splitlines()[-1]


class _HubWithoutIt(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_base_that_the_hub_does_not_have_is_a_setting_that_is_refused(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _HubWithoutIt) as hub:
        threading.Thread(target=hub.serve_forever).start()
        # The Hub's library reads its settings when it is imported.
        told = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HUB_OFFLINE": "0"}
        around = {name: value for name, value in os.environ.items() if not name.startswith("PARFOCAL_")}
        command = [sys.executable, "-m", "parfocal.cli", "serve", *FREE, "--base", "org/none"]
        command += ["--registry", str(tmp_path / "registry")]
        try:
            done = subprocess.run(
                command, env={**around, **told}, capture_output=True, text=True, check=False
            )
        finally:
            hub.shutdown()

    assert done.returncode == 2, done.stderr
    assert "org/none" in done.stderr.splitlines()[-1]


def test_the_unit_starts_no_server_again_that_refused_its_settings() -> None:
    unit = (Path(__file__).parents[3] / "deploy" / "systemd" / "parfocal.service").read_text("utf-8")

    assert "\nRestart=on-failure\n" in unit
    assert "\nRestartPreventExitStatus=2\n" in unit


def test_for_machines_the_reason_is_an_object_too(run: Run, clean_registry: pytest.MonkeyPatch) -> None:
    result = run("serve", *FREE, "--base", "/nonexistent/base", "--log-format", "json")

    told = [json.loads(line) for line in result.stderr.splitlines()]
    assert result.exit_code == 2
    assert (told[-1]["level"], "/nonexistent/base" in told[-1]["message"]) == ("CRITICAL", True)


@pytest.mark.parametrize(
    "flags", [["--slots", "none"], ["--slots", "0"], ["--dtype", "int4"], ["--slot", "3"]]
)
def test_a_bad_flag_is_a_mistake_in_usage(run: Run, flags: list[str]) -> None:
    result = run("serve", *flags)

    assert result.exit_code == 2
    assert flags[0] in result.stderr
