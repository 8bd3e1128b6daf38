"""`parfocal show`: everything that is known of one version."""

import json
from collections.abc import Mapping
from typing import Annotated

import typer

from parfocal.cli.display import (
    digest_text,
    show_heading,
    show_json,
    show_pairs,
    size_text,
    time_text,
)
from parfocal.cli.documents import alias_document, move_document, version_document
from parfocal.cli.history import show_moves
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, RegistryOption
from parfocal.cli.reach import registry_at
from parfocal.cli.signing import Told, TrustedKeysOption
from parfocal.registry import (
    Alias,
    AliasMove,
    Contract,
    Evaluation,
    Provenance,
    Version,
    every_item,
)


def show(
    reference: Annotated[
        str, typer.Argument(metavar="REF", help="The adapter: name, name@3, name@prod or name@sha256:…")
    ],
    registry: RegistryOption = DEFAULT_REGISTRY,
    trusted: TrustedKeysOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything that is known of a version.

    Its base and modules, origin, evaluation, warnings, who signed it, and who pointed which alias where.

    Example: parfocal show team/invoices@prod
    """
    opened = registry_at(registry)
    version = opened.resolve(reference)
    aliases = opened.aliases(version.name)
    moves = list(every_item(lambda token: opened.alias_moves(version.name, page_token=token)))
    signatures = Told.of(version, opened, trusted)
    if as_json:
        document = version_document(version)
        document["aliases"] = [alias_document(alias) for alias in aliases if alias.version == version.version]
        document["signatures"] = signatures.documents()
        document["alias_history"] = [move_document(move) for move in moves]
        show_json(document)
    else:
        _show(version, aliases, moves, signatures)


def _show(version: Version, aliases: list[Alias], moves: list[AliasMove], signatures: Told) -> None:
    manifest = version.manifest
    pointing = [alias.alias for alias in aliases if alias.version == version.version]
    show_pairs(
        [
            ("version", str(version)),
            ("digest", version.digest),
            ("published", time_text(version.created_at)),
            ("aliases", ", ".join(pointing) or "none"),
            ("signed", signatures.line()),
            ("files", ", ".join(f"{file.path} ({size_text(file.size)})" for file in manifest.files)),
        ]
    )
    _show_contract(manifest.contract)
    if manifest.provenance is not None:
        _show_provenance(manifest.provenance)
    if manifest.evaluation is not None:
        _show_evaluation(manifest.evaluation)
    _show_warnings(manifest.warnings)
    if moves:
        show_heading("Aliases of this adapter, every move")
        show_moves(moves)


def _show_contract(contract: Contract) -> None:
    base, targets = contract.base, contract.targets
    recipe = base.quantisation
    ranks = sorted({target.rank for target in targets})
    suffixes = sorted({target.path.rpartition(".")[2] for target in targets})
    show_heading("Contract")
    show_pairs(
        [
            ("base", base.id if base.verified else f"{base.id} (not verified at publishing)"),
            ("revision", base.revision or "none"),
            ("configuration", base.config_digest or "unknown"),
            ("tokenizer", base.tokenizer_digest or "unknown"),
            ("chat template", base.chat_template_digest or ("none" if base.verified else "unknown")),
            ("own template", contract.chat_template_digest or "none: chats are written with the base's"),
            ("rendering", str(contract.rendering or "not known")),
            ("weights", base.weights_fingerprint or "unknown"),
            (
                "4-bit recipe",
                f"{recipe.method}, blocks of {recipe.block_size}, "
                f"{'double' if recipe.double_quant else 'single'} quantisation",
            ),
            ("modules", f"{len(targets)}: {', '.join(suffixes)}"),
            ("rank", ", ".join(map(str, ranks)) + (" (rsLoRA)" if contract.use_rslora else "")),
        ]
    )


def _show_provenance(provenance: Provenance) -> None:
    show_heading("Origin")
    show_pairs(
        [
            ("data", provenance.data_digest or "unknown"),
            *((("source", provenance.source),) if provenance.source else ()),
            ("parent", provenance.parent or _no_parent(provenance)),
            ("seed", "unknown" if provenance.seed is None else str(provenance.seed)),
            ("tools", ", ".join(f"{name} {version}" for name, version in sorted(provenance.tools.items()))),
            *_scalars(provenance.hyper_parameters),
        ]
    )


def _no_parent(provenance: Provenance) -> str:
    return "unknown" if provenance.source else "none: trained from the base"


def _scalars(values: Mapping[str, object]) -> list[tuple[str, str]]:
    return [
        (key, value if isinstance(value, str) else json.dumps(value))
        for key, value in sorted(values.items())
        if value is not None
    ]


def _show_evaluation(evaluation: Evaluation) -> None:
    show_heading(
        f"Evaluation on {evaluation.examples} held-out examples ({digest_text(evaluation.data_digest)})"
    )
    show_pairs([(name, f"{value:.4g}") for name, value in sorted(evaluation.metrics.items())])


def _show_warnings(warnings: tuple[str, ...]) -> None:
    if warnings:
        show_heading("Warnings")
        show_pairs([("!", warning) for warning in warnings])
