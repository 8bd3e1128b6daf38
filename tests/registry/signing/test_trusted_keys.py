"""The file of trusted keys: what is in it counts, what is wrong with it makes nobody trusted."""

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from fakes.signing.signatures import NOW, key_of
from parfocal.registry.errors import InvalidArgument, InvalidKey
from parfocal.registry.signing import (
    Algorithm,
    KeysInForce,
    PrivateKey,
    PublicKey,
    TrustedKey,
    add_trusted_key,
    read_trusted_keys,
    remove_trusted_key,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that trusts ann, until a day after now, and ben, for ever."""
    path = tmp_path / "trusted" / "keys.jsonl"
    add_trusted_key(path, TrustedKey("ann", key_of("ann").public, NOW + timedelta(days=1)))
    add_trusted_key(path, TrustedKey("ben", key_of("ben", Algorithm.ECDSA_P256).public))
    return path


def names(path: Path) -> list[str]:
    return [key.name for key in read_trusted_keys(path).keys.values()]


def test_what_was_added_is_there_with_its_name_and_its_end(file: Path) -> None:
    ann, ben = read_trusted_keys(file).keys.values()

    assert (ann.name, ann.key, ann.expires) == ("ann", key_of("ann").public, NOW + timedelta(days=1))
    assert (ben.name, ben.key.algorithm, ben.expires) == ("ben", Algorithm.ECDSA_P256, None)


def test_what_was_removed_is_not(file: Path) -> None:
    remove_trusted_key(file, "ann")
    assert names(file) == ["ben"]
    remove_trusted_key(file, key_of("ben", Algorithm.ECDSA_P256).public.id)
    assert names(file) == []
    with pytest.raises(InvalidArgument, match="no key of 'ann'"):
        remove_trusted_key(file, "ann")


def test_neither_a_key_nor_a_name_is_there_twice(file: Path) -> None:
    with pytest.raises(InvalidKey, match="this key already, as 'ann'"):
        add_trusted_key(file, TrustedKey("another", key_of("ann").public))
    with pytest.raises(InvalidArgument, match="a key of 'ann' already"):
        add_trusted_key(file, TrustedKey("ann", key_of("cy").public))
    with pytest.raises(InvalidArgument, match="needs a name"):
        add_trusted_key(file, TrustedKey(" ", key_of("cy").public))
    assert names(file) == ["ann", "ben"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"algorithm": "rsa-2048"}, "algorithm: is 'rsa-2048'"),
        ({"algorithm": "ecdsa-p256"}, "public_key: is of ed25519"),
        ({"public_key": "AAAA"}, "no public key"),
        ({"expires": "2027-01-01"}, "without a time zone"),
        ({"expires": "tomorrow"}, "Invalid isoformat"),
        ({"name": ""}, "needs a name"),
    ],
)
def test_a_line_that_is_no_key_is_told_and_trusts_nobody(
    file: Path, change: dict[str, str], told: str
) -> None:
    first, second = file.read_text().splitlines()
    file.write_text(f"{json.dumps(json.loads(first) | change)}\n\n{second}\n")

    found = read_trusted_keys(file)

    assert [key.name for key in found.keys.values()] == ["ben"]
    assert found.faults[0].startswith("line 1 is no trusted key: ")
    assert told in found.faults[0]
    with pytest.raises(InvalidKey, match="mend or remove"):
        KeysInForce(file)
    with pytest.raises(InvalidKey, match="mend or remove"):
        add_trusted_key(file, TrustedKey("cy", key_of("cy").public))


def test_keys_in_pem_are_named_after_their_file(tmp_path: Path) -> None:
    path = tmp_path / "release.pem"
    path.write_bytes(key_of("ann").public.to_pem() + key_of("ben").public.to_pem())

    found = read_trusted_keys(path)

    assert {key.name: key.key for key in found.keys.values()} == {
        "release": key_of("ann").public,
        "release-2": key_of("ben").public,
    }


def test_a_file_that_others_may_write_trusts_nobody(file: Path) -> None:
    file.chmod(0o666)

    with pytest.raises(InvalidKey, match="chmod go-w"):
        read_trusted_keys(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidKey, match=r"nowhere.*parfocal trust add"):
        read_trusted_keys(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "make", [lambda: rsa.generate_private_key(65537, 2048), lambda: ec.generate_private_key(ec.SECP384R1())]
)
def test_a_key_of_another_kind_is_refused_by_name(
    make: Callable[[], rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey],
) -> None:
    private = make()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(InvalidKey, match=r"a key of the kind .*give an Ed25519 key or an ECDSA"):
        PublicKey.from_pem(public)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(InvalidKey, match="give an Ed25519 key"):
        PrivateKey.from_pem(pem)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_private_key_comes_back_and_needs_its_passphrase(algorithm: Algorithm) -> None:
    key = key_of("ann", algorithm)
    locked = key.to_pem("open sesame")

    assert PrivateKey.from_pem(key.to_pem()).public == key.public
    assert PrivateKey.from_pem(key.to_pem(), "not needed").public == key.public
    assert PrivateKey.from_pem(locked, "open sesame").public == key.public
    for passphrase in (None, "close sesame"):
        with pytest.raises(InvalidKey) as refused:
            PrivateKey.from_pem(locked, passphrase)
        assert refused.value.field == "passphrase"


def test_keys_in_force_are_those_of_the_file_within_a_second(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = [0.0]
    keys = KeysInForce(file, lambda: seconds[0])
    first = keys.now()

    remove_trusted_key(file, "ann")
    assert keys.now() is first
    seconds[0] = 1.0
    assert [key.name for key in keys.now().keys.values()] == ["ben"]
    assert keys.now() is keys.now()
    file.unlink()
    seconds[0] = 2.0
    with caplog.at_level(logging.ERROR):
        assert keys.now().keys == {}
    assert "nobody is trusted to sign" in caplog.text
