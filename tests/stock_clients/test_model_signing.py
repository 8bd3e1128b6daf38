"""The OpenSSF's model_signing, unchanged, against bundles of ours. It reads ECDSA keys, not Ed25519."""

import subprocess
from pathlib import Path

import pytest

from fakes.registry.peft_folders import Adapter, write_adapter
from fakes.registry.publisher import small_publication
from fakes.signing.signatures import key_of
from parfocal.registry import FolderRegistry
from parfocal.registry.signing import Algorithm, Signer
from stock_clients.venvs import GIVEN, VENVS

HERE = Path(__file__).resolve().parent

pytestmark = pytest.mark.skipif(not GIVEN, reason=f"{VENVS} names no folder for the venv of model-signing")


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A version's folder, its signature and the public key, as pull and trust write them."""
    key = key_of("ben", Algorithm.ECDSA_P256)
    registry = FolderRegistry(tmp_path / "registry")
    adapter = write_adapter(tmp_path / "adapter", Adapter())
    version = registry.publish("team/x", adapter, small_publication(tmp_path))
    model, signature, public = tmp_path / "model", tmp_path / "signature.json", tmp_path / "ben.pub"
    model.mkdir()
    for file in registry.materialise(version.digest).iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    signature.write_bytes(Signer(key).sign(version.name, version.digest, version.manifest.files))
    public.write_bytes(key.public.to_pem())
    return model, signature, public


def verify(model: Path, signature: Path, public: Path) -> subprocess.CompletedProcess[str]:
    command = [str(each) for each in (HERE / "run_model_signing.sh", GIVEN, model, signature, public)]
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=590
    )


def test_it_verifies_what_we_have_signed(signed: tuple[Path, Path, Path]) -> None:
    done = verify(*signed)

    assert done.returncode == 0, done.stdout
    assert "Verification succeeded" in done.stdout


def test_it_refuses_a_file_that_was_changed(signed: tuple[Path, Path, Path]) -> None:
    model, signature, public = signed
    weights = model / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")

    done = verify(model, signature, public)

    assert done.returncode != 0
    assert "Hash mismatch for 'adapter_model.safetensors'" in done.stdout


def test_it_refuses_another_key(signed: tuple[Path, Path, Path]) -> None:
    model, signature, public = signed
    public.write_bytes(key_of("eve", Algorithm.ECDSA_P256).public.to_pem())

    assert verify(model, signature, public).returncode != 0
