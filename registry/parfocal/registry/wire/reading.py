"""Messages of `parfocal.v1` as the registry's values; validates untrusted input. Knows no service."""

import re
from collections.abc import Mapping

from parfocal.registry.errors import BlobCorrupt, InvalidPublication
from parfocal.registry.values import (
    JSON,
    MAX_METRICS,
    MAX_PROVENANCE_BYTES,
    MAX_TEMPLATE_VARIABLES_BYTES,
    MAX_TEXT,
    MEANING,
    PLAIN_PREFIX,
    SPELLING,
    AdapterSummary,
    Alias,
    AliasMove,
    BaseContract,
    BaseShape,
    Evaluation,
    FileEntry,
    InvalidJson,
    MoveKind,
    Provenance,
    Quantisation,
    Rendering,
    Signature,
    Version,
    digest_of,
    loads,
    parse_digest,
)
from parfocal.registry.wire.canaries import read_canary
from parfocal.registry.wire.moments import read_moment
from parfocal.v1 import adapter_pb2 as pb

_KINDS = {
    pb.MOVE_KIND_SET: MoveKind.SET,
    pb.MOVE_KIND_ROLLBACK: MoveKind.ROLLBACK,
    pb.MOVE_KIND_DELETE: MoveKind.DELETE,
    pb.MOVE_KIND_CANARY: MoveKind.CANARY,
    pb.MOVE_KIND_ABORT: MoveKind.ABORT,
}
_FORMS: dict[int, str] = {pb.RENDERING_FORM_CHAT: "chat", pb.RENDERING_FORM_RAW: "raw"}
# Spaces and line breaks included; recorded without them, it must be shorter still.
_MAX_OBJECT_LENGTH = 256 << 10
# A value with its comma takes two bytes at least of those that are recorded.
_MAX_OBJECT_VALUES = max(MAX_PROVENANCE_BYTES, MAX_TEMPLATE_VARIABLES_BYTES) // 2
_PREFIX = re.compile(r"(?:[A-Za-z0-9_]{1,60}\.){0,5}")
_FINGERPRINT = re.compile(r"[a-z0-9-]{1,40}:[0-9a-f]{64}")


def read_version(message: pb.Version) -> Version:
    """A version whose manifest was read.

    Raises BlobCorrupt when the manifest does not have the digest beside it, IndexCorrupt or RegistryTooNew
    when it cannot be read.
    """
    actual = digest_of(message.manifest_json)
    if actual != message.digest:
        raise BlobCorrupt(
            f"the registry sent a manifest with digest {actual} for {message.digest}; ask again",
            file="manifest", expected=message.digest, actual=actual,
        )  # fmt: skip
    return read_listed(message).checked()


def read_listed(message: pb.Version) -> Version:
    """A version of a list, whether or not its manifest can be read."""
    moment = read_moment(message.create_time)
    canary = read_canary(message.canary, message.name) if message.HasField("canary") else None
    place = message.name, message.version, message.digest
    return Version(*place, message.manifest_json, moment, canary=canary)


def read_signature(message: pb.Signature) -> Signature:
    """A signature of a version. One that rotted proves nothing, and does not hide the others."""
    return Signature(message.digest, message.bundle, read_moment(message.add_time), message.actor)


def read_adapter(message: pb.Adapter) -> AdapterSummary:
    """An adapter; raises ReplyRefused."""
    return AdapterSummary(
        message.name,
        message.latest_version,
        message.version_count,
        read_moment(message.create_time),
        read_moment(message.update_time),
        tuple(map(read_alias, message.aliases)),
    )


def read_alias(message: pb.Alias) -> Alias:
    """An alias."""
    return Alias(
        message.name,
        message.alias,
        message.version,
        message.digest,
        message.actor,
        read_moment(message.update_time),
        read_canary(message.canary, message.name) if message.HasField("canary") else None,
    )


def read_move(message: pb.AliasMove) -> AliasMove:
    """One move of an alias."""
    return AliasMove(
        message.name,
        message.alias,
        message.previous_version,
        message.version,
        message.digest,
        _KINDS.get(message.kind, MoveKind.SET),
        message.actor,
        read_moment(message.move_time),
        message.gate_json,
        message.canary_json,
    )


def read_base(message: pb.BaseContract) -> BaseContract:
    """A base's contract as a publisher described it; raises InvalidPublication or InvalidDigest."""
    if not 0 < len(message.id) <= MAX_TEXT or not message.id.isprintable():
        raise InvalidPublication(
            f"base id {message.id[:80]!a} is empty, too long or unprintable", field="base.id"
        )
    has_template = message.HasField("chat_template_digest")
    if message.verified:
        for digest in (message.config_digest, message.tokenizer_digest):
            parse_digest(digest)
    if has_template:
        parse_digest(message.chat_template_digest)
    return BaseContract(
        id=message.id,
        revision=message.revision if message.HasField("revision") else None,
        config_digest=message.config_digest,
        quantisation=_quantisation(message),
        tokenizer_digest=message.tokenizer_digest,
        chat_template_digest=message.chat_template_digest if has_template else None,
        verified=message.verified,
        shape=_shape(message.shape) if message.HasField("shape") else None,
        scheme=_scheme(message),
        weights_fingerprint=_fingerprint(message),
    )


def read_provenance(message: pb.Provenance) -> Provenance:
    """Provenance; raises InvalidPublication."""
    _check_count(len(message.tools), "provenance.tools")
    return Provenance(
        data_digest=message.data_digest,
        hyper_parameters=_object(message.hyper_parameters_json, "provenance.hyper_parameters_json"),
        seed=message.seed if message.HasField("seed") else None,
        tools=dict(message.tools),
        parent=message.parent if message.HasField("parent") else None,
        source=message.source if message.HasField("source") else None,
    )


def read_rendering(message: pb.Rendering) -> Rendering:
    """A rendering as a publisher described it; raises InvalidPublication or InvalidDigest."""
    if message.form not in _FORMS:
        raise InvalidPublication(
            "rendering.form is unset or unknown; use chat or raw", field="rendering.form"
        )
    if message.HasField("chat_template_digest"):
        parse_digest(message.chat_template_digest)
    return Rendering(
        form=_FORMS[message.form],
        chat_template_digest=message.chat_template_digest
        if message.HasField("chat_template_digest")
        else None,
        template_variables=_object(message.template_variables_json, "rendering.template_variables_json"),
    )


def read_evaluation(message: pb.Evaluation) -> Evaluation:
    """An evaluation; raises InvalidPublication."""
    if message.examples < 0:
        raise InvalidPublication(
            f"evaluation.examples is {message.examples}; it must not be negative", field="evaluation.examples"
        )
    _check_count(len(message.metrics), "evaluation.metrics")
    return Evaluation(message.data_digest, message.examples, dict(message.metrics))


def read_file(message: pb.FileEntry) -> FileEntry:
    """A file's entry; raises InvalidDigest."""
    return FileEntry(message.path, message.size, parse_digest(message.digest))


def _object(text: str, field: str) -> Mapping[str, JSON]:
    """A JSON object out of a text field, where empty means one without keys; raises InvalidPublication."""
    name = field.rpartition(".")[2]
    if len(text) > _MAX_OBJECT_LENGTH:
        raise InvalidPublication(
            f"{name} has {len(text)} characters; {_MAX_OBJECT_LENGTH} are read: shorten it", field=field
        )
    try:
        value = loads((text or "{}").encode(), max_values=_MAX_OBJECT_VALUES)
    except InvalidJson as error:
        raise InvalidPublication(f"{name} is not strict JSON: {error}", field=field) from error
    if not isinstance(value, Mapping):
        raise InvalidPublication(f"{name} is not a JSON object", field=field)
    return value


def _check_count(count: int, field: str) -> None:
    if count > MAX_METRICS:
        raise InvalidPublication(f"{field} has {count} entries; {MAX_METRICS} fit", field=field)


def _scheme(message: pb.BaseContract) -> int:
    if not 0 <= message.scheme <= MEANING:
        raise InvalidPublication(
            f"base.scheme is {message.scheme}; this registry knows schemes up to {MEANING}: upgrade it",
            field="base.scheme",
        )
    return message.scheme or SPELLING


def _fingerprint(message: pb.BaseContract) -> str | None:
    if not message.HasField("weights_fingerprint"):
        return None
    if not _FINGERPRINT.fullmatch(message.weights_fingerprint):
        raise InvalidPublication(
            f"base.weights_fingerprint {message.weights_fingerprint[:80]!a} is not <form>:<64 hex digits>",
            field="base.weights_fingerprint",
        )
    return message.weights_fingerprint


def _quantisation(message: pb.BaseContract) -> Quantisation:
    if not message.HasField("quantisation"):
        return Quantisation()
    recipe = message.quantisation
    if recipe.block_size < 0:
        raise InvalidPublication(
            f"base.quantisation.block_size is {recipe.block_size}; it must not be negative",
            field="base.quantisation.block_size",
        )
    return Quantisation(recipe.method, recipe.double_quant, recipe.block_size)


def _shape(message: pb.BaseShape) -> BaseShape:
    attention = (message.heads, message.kv_heads, message.head_dim)
    sizes = (message.layers, message.hidden, message.intermediate, *attention)
    if min(sizes) < 1:
        raise InvalidPublication("base.shape has a size below 1", field="base.shape")
    if message.HasField("prefix") and not _PREFIX.fullmatch(message.prefix):
        raise InvalidPublication(
            f"base.shape.prefix is {message.prefix[:80]!a}; it is names with a dot behind each",
            field="base.shape.prefix",
        )
    return BaseShape(
        *sizes,
        fused=message.fused if message.HasField("fused") else None,
        prefix=message.prefix if message.HasField("prefix") else PLAIN_PREFIX,
    )
