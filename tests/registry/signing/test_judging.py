"""What a signature is worth: what was changed, by whom, and until when, decides."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.signing.signatures import NOW, key_of, trusting
from parfocal.registry.errors import InvalidSignature
from parfocal.registry.signing import (
    Algorithm,
    Bundle,
    Finding,
    PublicKey,
    Signed,
    Signer,
    Statement,
    TrustedKey,
    TrustedKeys,
    check_bundle,
    judge,
    signers,
)
from parfocal.registry.values import MAX_SIGNATURE_BYTES, FileEntry, digest_of

FILES = (
    FileEntry("adapter_config.json", 2, digest_of(b"{}")),
    FileEntry("adapter_model.safetensors", 5, digest_of(b"bytes")),
)
SIGNED = Signed("team/x@1", digest_of(b"manifest"), FILES)


def signed_by(name: str, signed: Signed = SIGNED) -> bytes:
    return Signer(key_of(name)).sign("team/x", signed.digest, signed.files)


def one(bundle: bytes, keys: TrustedKeys, signed: Signed = SIGNED) -> Finding:
    (finding,) = judge(signed, [bundle], keys, NOW)
    return finding


def edited(bundle: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The bundle with something changed in its JSON."""
    fields = json.loads(bundle)
    change(fields)
    return json.dumps(fields).encode()


def restated(bundle: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The bundle with something changed in what it states, and the signature of before."""

    def swap(fields: dict[str, Any]) -> None:
        envelope = fields["dsseEnvelope"]
        statement = json.loads(base64.b64decode(envelope["payload"]))
        change(statement)
        envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()

    return edited(bundle, swap)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_what_a_trusted_key_has_signed_counts(algorithm: Algorithm) -> None:
    key = key_of(f"of {algorithm}", algorithm)
    bundle = Signer(key).sign("team/x", SIGNED.digest, FILES)

    found = one(bundle, TrustedKeys({key.public.id: TrustedKey("ann", key.public)}))

    assert (found.signer, found.fault, found.algorithm) == ("ann", "", algorithm)
    assert signers([found]) == ("ann",)


def test_a_key_that_is_not_trusted_counts_for_nothing() -> None:
    found = one(signed_by("eve"), trusting("ann"))

    assert (found.signer, found.fault) == ("", "the key is not trusted")
    assert found.key_id == key_of("eve").public.id


def test_a_key_that_says_it_is_another_does_not_become_it() -> None:
    as_ann = edited(
        signed_by("eve"),
        lambda fields: fields["verificationMaterial"]["publicKey"].update(hint=key_of("ann").public.id),
    )

    found = one(as_ann, trusting("ann", "eve"))

    assert found.fault == "what is signed was changed, or the key did not sign it"


def test_a_signature_of_another_version_is_not_of_this_one() -> None:
    other = replace(SIGNED, digest=digest_of(b"another manifest"))

    assert "it is of the manifest" in one(signed_by("ann", other), trusting("ann")).fault
    with pytest.raises(InvalidSignature, match="not of team/x@1: it is of the manifest"):
        check_bundle(signed_by("ann", other), SIGNED)


def test_a_signature_over_other_files_is_not_of_this_version() -> None:
    other = replace(SIGNED, files=(FILES[0], FileEntry(FILES[1].path, 5, digest_of(b"other"))))

    assert "'adapter_model.safetensors'" in one(signed_by("ann", other), trusting("ann")).fault
    with pytest.raises(InvalidSignature, match=r"adapter_model\.safetensors"):
        check_bundle(signed_by("ann", other), SIGNED)


@pytest.mark.parametrize(
    "change",
    [
        lambda statement: statement["predicate"]["parfocal"].update(manifest=digest_of(b"another")),
        lambda statement: statement["predicate"]["resources"].pop(),
        lambda statement: statement["subject"][0].update(name="other/x"),
    ],
)
def test_a_statement_that_was_changed_is_not_signed(change: Callable[[dict[str, Any]], object]) -> None:
    found = one(restated(signed_by("ann"), change), trusting("ann"))

    assert found.fault == "what is signed was changed, or the key did not sign it"


def test_a_key_counts_until_it_expires() -> None:
    key = key_of("ann").public
    keys = TrustedKeys({key.id: TrustedKey("ann", key, NOW + timedelta(seconds=1))})

    (before,) = judge(SIGNED, [signed_by("ann")], keys, NOW)
    (after,) = judge(SIGNED, [signed_by("ann")], keys, NOW + timedelta(seconds=1))

    assert before.fault == ""
    assert after.fault.startswith("the key was trusted until 2026-11-27T12:00:01")


def test_each_of_two_signatures_is_judged_by_itself() -> None:
    findings = judge(
        SIGNED, [signed_by("eve"), signed_by("ann"), signed_by("ben")], trusting("ann", "ben"), NOW
    )

    assert [bool(each.fault) for each in findings] == [True, False, False]
    assert signers(findings) == ("ann", "ben")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: f.update(mediaType="application/json"), "mediaType"),
        (lambda f: f.pop("dsseEnvelope"), "dsseEnvelope"),
        (lambda f: f["verificationMaterial"].pop("publicKey"), "certificates"),
        (lambda f: f["verificationMaterial"]["publicKey"].update(hint="\x1b[2J"), "hint"),
        (lambda f: f["dsseEnvelope"].update(payloadType="text/plain"), "payloadType"),
        (lambda f: f["dsseEnvelope"]["signatures"].append({"sig": ""}), "has 2"),
        (lambda f: f["dsseEnvelope"].update(signatures=[]), "has 0"),
        (lambda f: f["dsseEnvelope"].update(payload="*"), "base64"),
    ],
)
def test_a_bundle_of_another_form_is_refused_and_counts_for_nothing(
    change: Callable[[dict[str, Any]], object], told: str
) -> None:
    bundle = edited(signed_by("ann"), change)

    with pytest.raises(InvalidSignature, match=told):
        Bundle.from_bytes(bundle)
    assert told in one(bundle, trusting("ann")).fault


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s.update(predicateType="https://model_signing/Digests/v0.1"), "predicateType"),
        (lambda s: s.update(subject=[]), "subject"),
        (lambda s: s["predicate"].pop("parfocal"), "only files were signed"),
        (lambda s: s["predicate"]["serialization"].update(method="shards"), "serialization"),
        (lambda s: s["predicate"]["resources"][0].update(algorithm="blake3"), "algorithm"),
        (lambda s: s["predicate"]["resources"].append(s["predicate"]["resources"][0]), "twice"),
        (lambda s: s["predicate"]["resources"][0].update(digest="0" * 64), "subject.digest"),
        (lambda s: s["predicate"]["resources"][0].update(digest="xyz"), "not a digest"),
    ],
)
def test_a_statement_of_another_form_is_refused(
    change: Callable[[dict[str, Any]], object], told: str
) -> None:
    with pytest.raises(InvalidSignature, match=told):
        check_bundle(restated(signed_by("ann"), change), SIGNED)


@given(st.data())
def test_a_truncated_bundle_counts_for_nothing_and_harms_nobody(data: st.DataObject) -> None:
    whole = signed_by("ann")
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]

    found = one(cut, trusting("ann"))

    assert found.fault and signers([found]) == ()


@given(st.data())
def test_no_byte_of_what_is_signed_can_be_changed(data: st.DataObject) -> None:
    bundle = Bundle.from_bytes(signed_by("ann"))
    part = data.draw(st.sampled_from(["payload", "signature"]))
    held = bytearray(getattr(bundle, part))
    held[data.draw(st.integers(0, len(held) - 1))] ^= data.draw(st.integers(1, 255))

    changed = replace(bundle, **{part: bytes(held)})  # type: ignore[arg-type]  # bytes both
    found = one(changed.to_bytes(), trusting("ann"))

    assert found.fault


def test_a_bundle_larger_than_any_is_not_read() -> None:
    with pytest.raises(InvalidSignature, match="at most"):
        Bundle.from_bytes(b" " * (MAX_SIGNATURE_BYTES + 1))


@given(
    st.dictionaries(st.from_regex(r"[a-z][a-z_.]{0,20}", fullmatch=True), st.binary(max_size=4), max_size=4),
    st.from_regex(r"[a-z]{1,9}/[a-z]{1,9}", fullmatch=True),
)
def test_a_statement_comes_back_the_same(files: dict[str, bytes], name: str) -> None:
    entries = tuple(FileEntry(path, len(data), digest_of(data)) for path, data in files.items())
    statement = Statement.over(name, digest_of(b"manifest"), entries)

    assert Statement.from_bytes(statement.to_bytes()) == statement


def test_a_public_key_in_one_line_is_the_same_key() -> None:
    key = key_of("ann").public

    assert PublicKey.from_text(key.to_text()) == key == PublicKey.from_pem(key.to_pem())
