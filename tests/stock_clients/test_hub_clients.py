"""The Hub's clients, unchanged, against `parfocal registry serve --http-address`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.registry.tiny_adapters import CONFIG, WEIGHTS, write_tiny_adapter
from parfocal.registry import locate_base
from stock_clients.hub_endpoint import hub_endpoint, run_client
from stock_clients.venvs import GIVEN, VENVS

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a registry's own process answers."""
    with hub_endpoint(tmp_path_factory.mktemp("served")) as where:
        yield where


def test_the_clients_own_library_finds_a_hub(endpoint: str, tmp_path: Path) -> None:
    """The line that is installed; run_hub.sh tries the others."""
    told = run_client(endpoint, tmp_path, sys.executable, HERE / "hub_client.py", "team/library", tmp_path)

    assert "what a Hub does, the registry does" in told


def test_an_adapter_of_peft_comes_back_the_same(endpoint: str, tmp_path: Path) -> None:
    base = locate_base("tiny", weights=True).folder

    told = run_client(endpoint, tmp_path, sys.executable, HERE / "hub_peft.py", base, "team/peft", tmp_path)

    assert "what went is what came back" in told


def test_the_hubs_command_uploads_and_downloads(endpoint: str, tmp_path: Path) -> None:
    hf, folder = Path(sys.executable).parent / "hf", write_tiny_adapter(tmp_path / "adapter")

    run_client(endpoint, tmp_path, hf, "repos", "create", "team/command")
    run_client(endpoint, tmp_path, hf, "upload", "team/command", folder)
    run_client(endpoint, tmp_path, hf, "repos", "tag", "create", "team/command", "prod")
    told = run_client(endpoint, tmp_path, hf, "models", "ls", "--search", "command", "--format", "json")
    assert "team/command" in told
    to = tmp_path / "fetched"
    run_client(endpoint, tmp_path, hf, "download", "team/command", "--revision", "prod", "--local-dir", to)
    run_client(
        endpoint, tmp_path, hf, "cache", "verify", "team/command", "--revision", "prod", "--local-dir", to
    )

    assert (to / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
    assert (to / CONFIG).is_file()


def test_our_own_command_takes_a_version_there_and_brings_it_elsewhere(endpoint: str, tmp_path: Path) -> None:
    parfocal = (sys.executable, "-m", "parfocal.cli")
    here, there = tmp_path / "here", tmp_path / "there"
    folder, key = write_tiny_adapter(tmp_path / "adapter"), tmp_path / "key"

    def command_in(registry: Path, *arguments: str | Path) -> str:
        return run_client(endpoint, tmp_path, *parfocal, *arguments, "--registry", registry)

    run_client(endpoint, tmp_path, *parfocal, "trust", "new-key", key)
    pushed = json.loads(
        command_in(here, "push", folder, "mine/x", "--base", "tiny", "--sign-key", key, "--json")
    )
    command = (*parfocal, "export", "mine/x", "--hub", "team/exported", "--registry", here, "--json")
    said = run_client(endpoint, tmp_path, *command)
    told = json.loads(said[said.index("{") :])  # the registry says first that it keeps no card
    assert (told["form"], told["new_repository"], told["signatures"]) == ("hub", True, 1)
    assert told["warnings"] == []
    command_in(there, "push", "team/exported@main", "copy/x")
    command_in(there, "push", "team/exported@main", "copy/files", "--files-only")
    other = command_in(there, "push", "team/exported", "copy/tagged", "--tag", "mail")

    assert json.loads(command_in(there, "show", "copy/x", "--json"))["digest"] == pushed["digest"]
    assert "is signed by" in command_in(there, "verify", "copy/x", "--keys", f"{key}.pub")
    assert "left out: 1 signature" in other
    shown = json.loads(command_in(there, "show", "copy/files", "--json"))
    assert shown["manifest"]["provenance"]["source"] == told["target"]
    assert "source" in command_in(there, "show", "copy/files")
    command_in(there, "pull", "copy/x", tmp_path / "pulled")
    assert (tmp_path / "pulled" / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()


@pytest.mark.skipif(not GIVEN, reason=f"{VENVS} names no folder for their venvs")
def test_every_line_of_the_library_finds_a_hub(endpoint: str) -> None:
    subprocess.run([HERE / "run_hub.sh", GIVEN, endpoint], check=True, timeout=590)
