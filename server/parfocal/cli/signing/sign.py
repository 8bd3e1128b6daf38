"""`parfocal sign`: adds a signature to a version."""

from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli.display import say, show_json
from parfocal.cli.options import DEFAULT_REGISTRY, ActorOption, JsonOption, RegistryOption
from parfocal.cli.reach import registry_at
from parfocal.cli.registries import actor_or_me
from parfocal.cli.signing.keys import signer_from
from parfocal.cli.signing.telling import judged, key_text
from parfocal.registry import Registry, Version
from parfocal.registry.signing import Signer, TrustedKey, TrustedKeys
from parfocal.registry.values import Signature


def sign(
    reference: Annotated[
        str, typer.Argument(metavar="REF", help="The adapter: name, name@3, name@prod or name@sha256:…")
    ],
    key: Annotated[
        Path,
        typer.Option(
            "--key",
            envvar="PARFOCAL_SIGNING_KEY",
            metavar="FILE",
            help="Your private key: Ed25519 or ECDSA on P-256, in PEM. PARFOCAL_KEY_PASSPHRASE opens it.",
            show_default=False,
        ),
    ],
    registry: RegistryOption = DEFAULT_REGISTRY,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a version: its files, the base that it fits, its origin and its evaluation.

    The signature stands beside the version, which may have several. It is a bundle of the OpenSSF's model
    signing: parfocal pull --signatures writes it for model_signing verify, which reads those of P-256 keys.

    Example: parfocal sign team/invoices@3 --key ./release.pem
    """
    signer = signer_from(key)
    opened = registry_at(registry)
    version = opened.resolve(reference)
    there = _of_this_key(version, opened, signer)
    signature = there or opened.add_signature(
        version.name,
        version.version,
        signer.sign(version.name, version.digest, version.manifest.files),
        actor_or_me(actor),
    )
    if as_json:
        document = {"name": version.name, "version": version.version, "digest": version.digest}
        signed = {"signature": signature.digest, "key": signer.key.public.id, "is_new": there is None}
        show_json({**document, **signed})
    else:
        was = "" if there is None else " before; nothing was added"
        say(f"{version} is signed with {key_text(signer.key.public.id)}{was}")


def _of_this_key(version: Version, registry: Registry, signer: Signer) -> Signature | None:
    """The good signature that the key has made already."""
    public = signer.key.public
    signatures = registry.signatures(version.name, version.version)
    findings = judged(version, signatures, TrustedKeys({public.id: TrustedKey("me", public)}))
    pairs = zip(signatures, findings, strict=True)
    return next((signature for signature, finding in pairs if not finding.fault), None)
