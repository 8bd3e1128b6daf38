"""A push to a registry elsewhere is signed before it is sent, over the very manifest that is made there."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.registry.registry_server import serving
from fakes.signing.signatures import NOW, key_of, policy, trusting
from parfocal.registry import FolderRegistry, Provenance, Publication
from parfocal.registry.errors import NotSigned
from parfocal.registry.remote import RemoteRegistry
from parfocal.registry.signing import Requirement, Signed, Signer, bundles_of, judge, signers

Write = Callable[..., Path]
HELD = policy(Requirement.REQUIRE, "ann", at_publishing=True)


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[RemoteRegistry]:
    """A server that lets nothing in that ann has not signed."""
    registry = FolderRegistry(tmp_path / "strict")
    registry.hold_to(HELD)
    with serving(registry, tmp_path / "strict-uploads") as address:
        yield RemoteRegistry(f"grpc://{address}", cache=tmp_path / "cache")


def by(name: str, publication: Publication) -> Publication:
    return replace(publication, sign=Signer(key_of(name)).sign)


def test_what_is_signed_is_published_there_and_nothing_else(
    strict: RemoteRegistry, adapter: Write, publication: Publication
) -> None:
    told = replace(publication, provenance=Provenance("sha256:" + "0" * 64, {"rate": 1e-4, "steps": 3}, 7))
    for refused in (told, by("eve", told)):
        with pytest.raises(NotSigned, match="what is published as team/x is not signed"):
            strict.publish("team/x", adapter(), refused)

    version = strict.publish("team/x", adapter(), by("ann", told))

    bundles = bundles_of(strict.signatures("team/x", 1))
    assert signers(judge(Signed.of(version), bundles, trusting("ann"), NOW)) == ("ann",)


def test_files_that_are_not_sent_do_not_spoil_the_signature(
    strict: RemoteRegistry, adapter: Write, publication: Publication
) -> None:
    folder = adapter()
    (folder / "tokenizer_config.json").write_text(json.dumps({"extra_special_tokens": ["<own>"]}))

    version = strict.publish("team/x", folder, by("ann", publication))

    assert version.manifest.warnings == ()
    assert len(strict.signatures("team/x", 1)) == 1
