"""`parfocal verify`: proves that a version is what a trusted key has signed."""

from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli.display import count_text, say, show_json
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, RegistryOption
from parfocal.cli.progress import spinner
from parfocal.cli.reach import OWN_TRUSTED_KEYS, TRUSTED_KEYS, registry_at, trusted_keys_file
from parfocal.cli.signing.keys import trusted_from
from parfocal.cli.signing.telling import finding_document, judged, key_text
from parfocal.registry.signing import Finding, Signed, not_signed, signers


def verify(
    reference: Annotated[
        str, typer.Argument(metavar="REF", help="The adapter: name, name@3, name@prod or name@sha256:…")
    ],
    keys: Annotated[
        list[Path] | None,
        typer.Option(
            "--keys",
            metavar="FILE",
            help="Whose signatures count: a file of parfocal trust, or a public key in PEM. Give it again "
            f"for more. Default: {TRUSTED_KEYS}, or {OWN_TRUSTED_KEYS}.",
            show_default=False,
        ),
    ] = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    as_json: JsonOption = False,
) -> None:
    """Verify a version's signatures, and every byte that they are of.

    Exits with 1 unless a key that is given has signed it.

    Example: parfocal verify team/invoices@prod --keys ./trusted-keys.jsonl
    """
    files = keys or list(filter(None, [trusted_keys_file()]))
    if not files:
        raise typer.BadParameter(
            f"name the keys that you trust, set {TRUSTED_KEYS}, or add them: parfocal trust add",
            param_hint="--keys",
        )
    trusted = trusted_from(files)
    opened = registry_at(registry)
    version = opened.resolve(reference)
    with spinner(f"Reading {version}"):
        opened.materialise(version.digest)
    findings = judged(version, opened.signatures(version.name, version.version), trusted)
    good = signers(findings)
    if as_json:
        document = {"name": version.name, "version": version.version, "digest": version.digest}
        told = [finding_document(each) for each in findings]
        show_json({**document, "verified": bool(good), "signers": good, "signatures": told})
    if not good:
        raise not_signed(Signed.of(version), findings)
    if not as_json:
        say(f"{version} is signed by {', '.join(good)}")
        say(f"{count_text(len(version.manifest.files), 'file')} and the manifest are what was signed")
        for each in findings:
            say(_line(each), dim=bool(each.fault))


def _line(finding: Finding) -> str:
    if finding.fault:
        return f"does not count: {finding}"
    return f"{finding.signer}: {finding.algorithm}, {key_text(finding.key_id)}"
