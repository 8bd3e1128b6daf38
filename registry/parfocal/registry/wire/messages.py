"""The registry's values as messages of `parfocal.v1`. Knows no service and no registry."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from parfocal.registry.values import (
    MAX_ALIASES,
    MAX_MANIFEST_BYTES,
    AdapterSummary,
    Alias,
    AliasMove,
    BaseContract,
    Contract,
    Evaluation,
    FileEntry,
    Manifest,
    MoveKind,
    Provenance,
    Rendering,
    Signature,
    Version,
    dumps,
)
from parfocal.registry.wire.canaries import canary_message
from parfocal.v1 import adapter_pb2 as pb

_KINDS = {
    MoveKind.SET: pb.MOVE_KIND_SET,
    MoveKind.ROLLBACK: pb.MOVE_KIND_ROLLBACK,
    MoveKind.DELETE: pb.MOVE_KIND_DELETE,
    MoveKind.CANARY: pb.MOVE_KIND_CANARY,
    MoveKind.ABORT: pb.MOVE_KIND_ABORT,
}
_FORMS = {"chat": pb.RENDERING_FORM_CHAT, "raw": pb.RENDERING_FORM_RAW}


def version_message(version: Version, aliases: Iterable[Alias]) -> pb.Version:
    """A version with those of `aliases` that point at it.

    Its manifest goes out as it is stored; its fields stand beside it where it can be read and holds nothing
    larger than what is published today.
    """
    message = bare_version_message(version, aliases)
    message.manifest_json = version.manifest_bytes
    if len(version.manifest_bytes) <= MAX_MANIFEST_BYTES and version.fault is None:
        with suppress(ValueError):  # a number of more bits than its field, as was once accepted
            message.manifest.CopyFrom(manifest_message(version.manifest))
    return message


def bare_version_message(version: Version, aliases: Iterable[Alias]) -> pb.Version:
    """A version without its manifest, with those of `aliases` that point at it."""
    return pb.Version(
        name=version.name,
        version=version.version,
        digest=version.digest,
        create_time=_timestamp(version.created_at),
        aliases=sorted(alias.alias for alias in aliases if alias.version == version.version),
        canary=None if version.canary is None else canary_message(version.canary),
    )


def adapter_message(summary: AdapterSummary) -> pb.Adapter:
    """An adapter with its aliases."""
    return pb.Adapter(
        name=summary.name,
        latest_version=summary.latest_version,
        version_count=summary.version_count,
        aliases=[alias_message(alias) for alias in summary.pointing[:MAX_ALIASES]],
        create_time=_timestamp(summary.created_at),
        update_time=_timestamp(summary.updated_at),
    )


def alias_message(alias: Alias, history: Sequence[AliasMove] = ()) -> pb.Alias:
    """An alias, with its history when one is given."""
    return pb.Alias(
        name=alias.name,
        alias=alias.alias,
        version=alias.version,
        digest=alias.digest,
        update_time=_timestamp(alias.moved_at),
        actor=alias.actor,
        history=[move_message(move) for move in history],
        canary=None if alias.canary is None else canary_message(alias.canary),
    )


def signature_message(signature: Signature) -> pb.Signature:
    """A signature of a version."""
    return pb.Signature(
        digest=signature.digest,
        bundle=signature.bundle,
        add_time=_timestamp(signature.added_at),
        actor=signature.actor,
    )


def move_message(move: AliasMove) -> pb.AliasMove:
    """One move of an alias."""
    return pb.AliasMove(
        name=move.name,
        alias=move.alias,
        previous_version=move.previous_version,
        version=move.version,
        digest=move.digest,
        actor=move.actor,
        move_time=_timestamp(move.moved_at),
        kind=_KINDS[move.kind],
        gate_json=move.gate,
        canary_json=move.canary,
    )


def base_message(base: BaseContract) -> pb.BaseContract:
    """A base's contract."""
    recipe = base.quantisation
    shape = None
    if base.shape is not None:
        shape = pb.BaseShape(
            layers=base.shape.layers,
            hidden=base.shape.hidden,
            intermediate=base.shape.intermediate,
            heads=base.shape.heads,
            kv_heads=base.shape.kv_heads,
            head_dim=base.shape.head_dim,
            fused=base.shape.fused,
            prefix=base.shape.prefix,
        )
    return pb.BaseContract(
        id=base.id,
        revision=base.revision,
        config_digest=base.config_digest,
        quantisation=pb.Quantisation(
            method=recipe.method, double_quant=recipe.double_quant, block_size=recipe.block_size
        ),
        tokenizer_digest=base.tokenizer_digest,
        chat_template_digest=base.chat_template_digest,
        verified=base.verified,
        scheme=base.scheme,
        weights_fingerprint=base.weights_fingerprint,
        shape=shape,
    )


def provenance_message(provenance: Provenance | None) -> pb.Provenance | None:
    """Provenance, or None when there is none."""
    if provenance is None:
        return None
    return pb.Provenance(
        data_digest=provenance.data_digest,
        hyper_parameters_json=dumps(provenance.hyper_parameters).decode(),
        seed=provenance.seed,
        tools=provenance.tools,
        parent=provenance.parent,
        source=provenance.source,
    )


def evaluation_message(evaluation: Evaluation | None) -> pb.Evaluation | None:
    """An evaluation, or None when there is none."""
    if evaluation is None:
        return None
    return pb.Evaluation(
        data_digest=evaluation.data_digest, examples=evaluation.examples, metrics=evaluation.metrics
    )


def rendering_message(rendering: Rendering | None) -> pb.Rendering | None:
    """A rendering, or None when there is none."""
    if rendering is None:
        return None
    return pb.Rendering(
        form=_FORMS[rendering.form],
        chat_template_digest=rendering.chat_template_digest,
        template_variables_json=dumps(rendering.template_variables).decode(),
    )


def file_message(file: FileEntry) -> pb.FileEntry:
    """A file's entry."""
    return pb.FileEntry(path=file.path, size=file.size, digest=file.digest)


def manifest_message(manifest: Manifest) -> pb.Manifest:
    """A manifest; raises ValueError for a number of more bits than its field."""
    return pb.Manifest(
        schema=manifest.schema,
        files=[file_message(file) for file in manifest.files],
        contract=_contract(manifest.contract),
        provenance=provenance_message(manifest.provenance),
        evaluation=evaluation_message(manifest.evaluation),
        warnings=manifest.warnings,
        tags=manifest.tags,
    )


def _contract(contract: Contract) -> pb.Contract:
    return pb.Contract(
        base=base_message(contract.base),
        targets=[
            pb.TargetModule(
                path=target.path,
                in_features=target.in_features,
                out_features=target.out_features,
                rank=target.rank,
                alpha=target.alpha,
            )
            for target in contract.targets
        ],
        use_rslora=contract.use_rslora,
        rendering=rendering_message(contract.rendering),
        chat_template_digest=contract.chat_template_digest,
    )


def _timestamp(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
