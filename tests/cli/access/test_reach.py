"""Commands against a server with keys, over TLS that wants certificates: what they show and say."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import Result

from fakes.key_files import given_key
from fakes.pki import Authority, Pair
from fakes.served_aside import served_aside
from fakes.tokenizer import ALTERNATE
from parfocal.registry import FolderRegistry
from parfocal.registry.faces.grpc import RegistryService
from parfocal.rpc import Guard, Service, TlsFiles
from parfocal.rpc.access import KeysInForce
from parfocal.v1.registry_service_pb2_grpc import add_RegistryServiceServicer_to_server

Run = Callable[..., Result]
VARIABLES = ("API_KEY", "API_KEY_FILE", "TLS_CA", "CLIENT_CERT", "CLIENT_KEY", "REGISTRY", "ADDRESS")


@dataclass
class Guarded:
    """A server that wants a key and a certificate, and who may come in."""

    address: str
    key: str
    key_file: Path
    authority: Authority
    own: Pair

    @property
    def flags(self) -> list[object]:
        return ["--api-key-file", self.key_file, *self.tls]

    @property
    def tls(self) -> list[object]:
        return ["--tls-ca", self.authority.ca, "--tls-cert", self.own.cert, "--tls-key", self.own.key]


@contextmanager
def guarded(folder: Path, *scopes: str) -> Iterator[Guarded]:
    authority = Authority(folder)
    server, own = authority.issue("server"), authority.issue("caller")
    key = given_key(folder / "keys.jsonl", *scopes)
    (folder / "key").write_text(f"{key}\n")
    registry = RegistryService(FolderRegistry(folder / "registry"), folder / "uploads")
    service = Service(add_RegistryServiceServicer_to_server, registry, "parfocal.v1.RegistryService")
    guard = Guard(KeysInForce(folder / "keys.jsonl"), TlsFiles(server.cert, server.key, authority.ca))
    with served_aside(ALTERNATE, service, guard=guard) as served:
        address = f"127.0.0.1:{served.wire.port}"
        yield Guarded(address, key, folder / "key", authority, own)


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"PARFOCAL_{name}", raising=False)


def said(result: Result) -> str:
    assert result.exit_code == 1, result.output
    [line] = result.stderr.splitlines()
    return line


def test_an_adapters_life_and_an_answer_with_a_key_over_mutual_tls(
    run: Run, small_base: Path, adapter_folder: Callable[[int], Path], tmp_path: Path
) -> None:
    with guarded(tmp_path, "admin") as server:

        def ok(*arguments: object) -> str:
            result = run(*arguments, *server.flags)
            assert result.exit_code == 0, result.output
            return result.stdout

        location = ["--registry", f"grpcs://{server.address}"]
        ok("push", adapter_folder(1), "team/invoices", "--base", small_base, *location)
        ok("alias", "team/invoices", "prod", 1, "--actor", "ana", *location)
        shown = json.loads(ok("show", "team/invoices@prod", "--json", *location))
        ok("pull", "team/invoices@prod", tmp_path / "copy", *location)
        answer = ok("generate", "Hi", "--raw", "--address", f"grpcs://{server.address}")
        implied = ok("generate", "Hi", "--raw", "--address", server.address)

    assert (tmp_path / "copy" / "adapter_model.safetensors").is_file()
    assert shown["alias_history"][0]["actor"].startswith("ana with key test (pf_")
    assert answer == implied == "Once upon a time\n"


def test_the_environment_does_as_well(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded(tmp_path, "admin") as server:
        monkeypatch.setenv("PARFOCAL_API_KEY", server.key)
        monkeypatch.setenv("PARFOCAL_TLS_CA", str(server.authority.ca))
        monkeypatch.setenv("PARFOCAL_CLIENT_CERT", str(server.own.cert))
        monkeypatch.setenv("PARFOCAL_CLIENT_KEY", str(server.own.key))
        monkeypatch.setenv("PARFOCAL_REGISTRY", f"grpcs://{server.address}")
        result = run("ls")

    assert result.exit_code == 0, result.output


def test_a_flag_beats_the_key_in_the_environment(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with guarded(tmp_path, "admin") as server:
        monkeypatch.setenv("PARFOCAL_API_KEY", "pf_other")
        result = run("ls", "--registry", f"grpcs://{server.address}", *server.flags)

    assert result.exit_code == 0, result.output


def test_what_is_missing_is_said_in_one_line(run: Run, tmp_path: Path) -> None:
    with guarded(tmp_path, "generate:base") as server:
        there = f"grpcs://{server.address}"
        without_key = said(run("generate", "Hi", "--raw", "--address", there, *server.tls))
        without_certificate = said(run("ls", "--registry", there, "--tls-ca", server.authority.ca))
        without_authority = said(run("generate", "Hi", "--raw", "--address", there))
        without_tls = said(run("generate", "Hi", "--raw", "--address", server.address))
        waiting = said(run("generate", "Hi", "--raw", "--wait", "--address", there))
        without_scope = said(run("show", "team/invoices", "--registry", there, *server.flags))

    assert "wants an API key" in without_key
    assert "wants a client certificate; give one with --tls-cert FILE --tls-key FILE" in without_certificate
    assert "no public authority; name its own with --tls-ca FILE" in without_authority
    assert "no public authority" in waiting
    assert "the server speaks TLS; write grpcs://127.0.0.1" in without_tls
    assert "may do generate:base, and this needs read:team/invoices" in without_scope


def test_a_push_that_a_key_may_not_make_names_the_scope_to_publish(
    run: Run, tmp_path: Path, adapter_folder: Callable[[int], Path], small_base: Path
) -> None:
    with guarded(tmp_path, "publish:team/*") as server:
        there = ("--registry", f"grpcs://{server.address}", *server.flags)
        refused = said(run("push", adapter_folder(1), "other/invoices", "--base", small_base, *there))
        taken = run("push", adapter_folder(1), "team/invoices", "--base", small_base, *there)

    assert "may do publish:team/*, and this needs publish:other/invoices" in refused
    assert taken.exit_code == 0, taken.output


def test_a_handshake_that_fails_is_one_line_of_the_whole_process(tmp_path: Path) -> None:
    with guarded(tmp_path, "admin") as server:
        command = [
            sys.executable,
            "-m",
            "parfocal.cli",
            "generate",
            "Hi",
            "--address",
            f"grpcs://{server.address}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_file_that_cannot_be_used_is_said_before_anybody_is_asked(run: Run, tmp_path: Path) -> None:
    address = ["--address", "grpcs://127.0.0.1:1"]

    assert "cannot be read: No such file" in said(
        run("generate", "Hi", *address, "--api-key-file", tmp_path / "no")
    )
    assert "no.pem cannot be read" in said(run("generate", "Hi", *address, "--tls-ca", tmp_path / "no.pem"))
    assert "needs its private key" in said(run("generate", "Hi", *address, "--tls-cert", tmp_path / "no.pem"))
