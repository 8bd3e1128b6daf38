"""sign, verify, trust, and who has signed what in push, show and pull."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.command_results import Run
from fakes.command_results import json_of as _json
from fakes.command_results import refusal_of as _refusal


@pytest.fixture
def keys(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the private keys ann, ben and eve, and a file `trusted` with those of ann and ben."""
    for variable in ("PARFOCAL_SIGNING_KEY", "PARFOCAL_TRUSTED_KEYS", "PARFOCAL_KEY_PASSPHRASE"):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "keys"
    folder.mkdir()
    for name, algorithm in (("ann", "ed25519"), ("ben", "ecdsa-p256"), ("eve", "ed25519")):
        made = run("trust", "new-key", folder / name, "--algorithm", algorithm)
        assert made.exit_code == 0, made.output
    for name in ("ann", "ben"):
        added = run("trust", "add", name, folder / f"{name}.pub", "--file", folder / "trusted")
        assert added.exit_code == 0, added.output
    return folder


def test_a_version_that_is_signed_verifies_and_tells_by_whom(run: Run, keys: Path, published: Path) -> None:
    for name in ("ann", "ben"):
        signed = run("sign", "team/invoices@1", "--key", keys / name)
        assert signed.exit_code == 0, signed.output
        assert signed.stdout.startswith("team/invoices@1 is signed with key ")

    verified = run("verify", "team/invoices@prod", "--keys", keys / "trusted")

    assert verified.exit_code == 0, verified.output
    assert verified.stdout.splitlines()[:2] == [
        "team/invoices@1 is signed by ann, ben",
        "2 files and the manifest are what was signed",
    ]


def test_verify_refuses_what_no_given_key_has_signed(run: Run, keys: Path, published: Path) -> None:
    assert "it has no signature" in _refusal(run("verify", "team/invoices@1", "--keys", keys / "trusted"))
    run("sign", "team/invoices@1", "--key", keys / "eve")

    assert "the key is not trusted" in _refusal(run("verify", "team/invoices@1", "--keys", keys / "trusted"))
    assert run("verify", "team/invoices@1", "--keys", keys / "eve.pub").exit_code == 0
    both = run("verify", "team/invoices@1", "--keys", keys / "trusted", "--keys", keys / "eve.pub")
    assert both.stdout.startswith("team/invoices@1 is signed by eve")


def test_verify_in_json_tells_of_every_signature_and_fails_where_none_counts(
    run: Run, keys: Path, published: Path
) -> None:
    for name in ("ann", "eve"):
        run("sign", "team/invoices@1", "--key", keys / name)

    found = _json(run, "verify", "team/invoices@1", "--keys", keys / "ann.pub")
    failed = run("verify", "team/invoices@1", "--keys", keys / "ben.pub", "--json")

    assert (found["verified"], found["signers"]) == (True, ["ann"])
    assert [(each["good"], each["signer"]) for each in found["signatures"]] == [(True, "ann"), (False, None)]
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["verified"] is False


def test_verify_without_keys_is_a_mistake(run: Run, keys: Path, published: Path) -> None:
    result = run("verify", "team/invoices@1")

    assert result.exit_code == 2
    assert "PARFOCAL_TRUSTED_KEYS" in result.stderr


def test_the_keys_that_its_user_trusts_are_found_where_trust_keeps_them(
    run: Run, keys: Path, published: Path, tmp_path: Path
) -> None:
    run("sign", "team/invoices@1", "--key", keys / "ann")
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "home")}

    def said(*arguments: object) -> str:
        command = [sys.executable, "-m", "parfocal.cli", *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    said("trust", "add", "ann", keys / "ann.pub")
    assert said("verify", "team/invoices@1").startswith("team/invoices@1 is signed by ann\n")


def test_a_gate_of_a_folder_is_met_by_those_whom_its_user_trusts(
    run: Run, keys: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("sign", "team/invoices@2", "--key", keys / "ann")
    run("gate", "team/invoices@prod", "set", "--signed-by", "ann", "--signed-by", "cy")
    assert "PARFOCAL_TRUSTED_KEYS for a folder" in _refusal(run("alias", "team/invoices", "prod", 2))

    monkeypatch.setenv("PARFOCAL_TRUSTED_KEYS", str(keys / "ben.pub"))
    assert "signed by ann or cy: not signed" in _refusal(run("alias", "team/invoices", "prod", 2))
    monkeypatch.setenv("PARFOCAL_TRUSTED_KEYS", str(keys / "trusted"))
    moved = run("alias", "team/invoices", "prod", 2)

    assert moved.exit_code == 0, moved.output
    assert "gate passed" in run("log", "team/invoices").stdout
    (keys / "trusted").write_text("nonsense")
    assert "line 1 is no trusted key" in _refusal(run("alias", "team/invoices", "prod", 1))


def test_a_file_that_was_tampered_with_does_not_verify(run: Run, keys: Path, published: Path) -> None:
    run("sign", "team/invoices@1", "--key", keys / "ann")
    version = _json(run, "show", "team/invoices@1")
    (digest,) = (
        file["digest"] for file in version["manifest"]["files"] if file["path"].endswith("safetensors")
    )
    digits = digest.removeprefix("sha256:")
    blob = published / "blobs" / "sha256" / digits[:2] / digits
    blob.chmod(0o644)
    held = bytearray(blob.read_bytes())
    held[-1] ^= 1
    blob.write_bytes(held)

    assert digest in _refusal(run("verify", "team/invoices@1", "--keys", keys / "trusted"))


def test_a_key_signs_a_version_once(run: Run, keys: Path, published: Path) -> None:
    for name in ("ann", "ben"):
        first = _json(run, "sign", "team/invoices@1", "--key", keys / name)
        again = _json(run, "sign", "team/invoices@1", "--key", keys / name)
        assert (first["is_new"], again["is_new"]) == (True, False)
        assert first["signature"] == again["signature"]
    assert len(_json(run, "show", "team/invoices@1")["signatures"]) == 2


def test_push_signs_what_it_publishes(
    run: Run, keys: Path, small_base: Path, adapter_folder: Callable[[int], Path], registry: Path
) -> None:
    pushed = run("push", adapter_folder(1), "team/invoices", "--base", small_base, "--sign-key", keys / "ann")

    assert pushed.exit_code == 0, pushed.output
    assert pushed.stdout.splitlines()[-1].startswith("signed with key ")
    assert run("verify", "team/invoices", "--keys", keys / "trusted").exit_code == 0


def test_push_with_a_key_that_cannot_be_read_publishes_nothing(
    run: Run, keys: Path, small_base: Path, adapter_folder: Callable[[int], Path], registry: Path
) -> None:
    (keys / "none").write_text("no key")
    pushed = run(
        "push", adapter_folder(1), "team/invoices", "--base", small_base, "--sign-key", keys / "none"
    )

    assert "no private key in PEM; parfocal trust new-key makes" in _refusal(pushed)
    assert not registry.exists()


def test_the_half_of_a_pair_that_is_not_meant_is_named(run: Run, keys: Path, published: Path) -> None:
    signed = run("sign", "team/invoices@1", "--key", keys / "ann.pub")
    trusted = run("trust", "add", "eve", keys / "eve", "--file", keys / "trusted")

    assert "but a public one; sign with the private key" in _refusal(signed)
    assert "but a private one" in _refusal(trusted)
    assert "give its public half" in trusted.stderr


def test_show_and_pull_tell_who_has_signed(
    run: Run, keys: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "signed     no" in run("show", "team/invoices@1").stdout
    for name in ("ann", "eve"):
        run("sign", "team/invoices@1", "--key", keys / name)

    assert "nobody was asked whom to trust" in run("show", "team/invoices@1").stdout
    monkeypatch.setenv("PARFOCAL_TRUSTED_KEYS", str(keys / "trusted"))
    shown = run("show", "team/invoices@1").stdout
    pulled = run("pull", "team/invoices@1", tmp_path / "to", "--signatures", tmp_path / "signatures")

    assert "by ann; key " in shown and "the key is not trusted" in shown
    assert "signed: by ann; " in pulled.stdout
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    names = sorted(path.name for path in (tmp_path / "signatures").iterdir())
    assert names == ["signature-1.sigstore.json", "signature-2.sigstore.json"]
    bundle = json.loads((tmp_path / "signatures" / names[0]).read_text())
    assert bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"


def test_trust_lists_and_removes_keys(run: Run, keys: Path) -> None:
    file = keys / "trusted"
    added = run("trust", "add", "eve", keys / "eve.pub", "--file", file, "--expires", "2w")
    assert added.exit_code == 0, added.output
    listed = _json(run, "trust", "ls", "--file", file)
    assert [each["name"] for each in listed["keys"]] == ["ann", "ben", "eve"]
    assert [each["expires"] is None for each in listed["keys"]] == [True, True, False]
    assert run("trust", "ls", "--file", file).stdout.splitlines()[0].split() == [
        "NAME",
        "ALGORITHM",
        "KEY",
        "EXPIRES",
    ]

    run("trust", "rm", "ann", "--file", file)

    assert [each["name"] for each in _json(run, "trust", "ls", "--file", file)["keys"]] == ["ben", "eve"]
    assert "no key of 'ann'" in _refusal(run("trust", "rm", "ann", "--file", file))


@pytest.mark.parametrize("when", ["2020-01-01", "soon", "0d"])
def test_trust_that_has_ended_already_is_a_mistake(run: Run, keys: Path, when: str) -> None:
    result = run("trust", "add", "eve", keys / "eve.pub", "--file", keys / "trusted", "--expires", when)

    assert result.exit_code == 2
    assert "--expires" in result.stderr


def test_a_new_key_is_its_owners_alone_and_overwrites_nothing(run: Run, keys: Path) -> None:
    before = (keys / "ann").read_bytes()

    assert stat.S_IMODE((keys / "ann").stat().st_mode) == 0o600
    assert "it is there already" in _refusal(run("trust", "new-key", keys / "ann"))
    assert (keys / "ann").read_bytes() == before


def test_a_key_with_a_passphrase_signs_only_with_it(
    run: Run, keys: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARFOCAL_KEY_PASSPHRASE", "open sesame")
    assert run("trust", "new-key", keys / "locked", "--encrypt").exit_code == 0
    assert run("sign", "team/invoices@1", "--key", keys / "locked").exit_code == 0

    monkeypatch.setenv("PARFOCAL_KEY_PASSPHRASE", "close sesame")
    assert "password" in _refusal(run("sign", "team/invoices@2", "--key", keys / "locked"))
    monkeypatch.delenv("PARFOCAL_KEY_PASSPHRASE")
    assert "PARFOCAL_KEY_PASSPHRASE" in _refusal(run("sign", "team/invoices@2", "--key", keys / "locked"))
