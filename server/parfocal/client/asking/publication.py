"""What a publisher says about an adapter, beside its files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from parfocal.client.errors import InvalidRequest
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb

_FORMS = {"chat": adapter_pb2.RENDERING_FORM_CHAT, "raw": adapter_pb2.RENDERING_FORM_RAW}


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an adapter came from; digests are `sha256:…`, `parent` is `namespace/name@3` or a digest.

    `source` is where it was taken from if it was made elsewhere, such as `hf://org/name@<commit>`.
    """

    data_digest: str = ""
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    tools: Mapping[str, str] = field(default_factory=dict)
    parent: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of an evaluation on so many held-out examples."""

    data_digest: str
    examples: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rendering:
    """How the rows that an adapter learnt from became text: as chats, or as plain text."""

    form: Literal["chat", "raw"]
    chat_template_digest: str | None = None
    template_variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Publication:
    """The base that an adapter was made for, where it came from, how good it is, how its rows became text.

    `base` is a Hub id or `tiny`, looked up by the registry; empty means the one that the adapter's
    configuration names. `unverified_base` publishes where the registry cannot see it. `tags` are words that
    the version is found by. `attachments` are files that the version carries beside the adapter, such as
    report.html.
    """

    base: str = ""
    unverified_base: bool = False
    provenance: Provenance | None = None
    evaluation: Evaluation | None = None
    rendering: Rendering | None = None
    tags: Sequence[str] = ()
    attachments: Sequence[Path] = ()


def publish_header(name: str, publication: Publication) -> pb.PublishHeader:
    """The header of an upload, its files apart; raises InvalidRequest."""
    try:
        header = pb.PublishHeader(
            name=name,
            unverified_base=publication.unverified_base,
            provenance=_provenance(publication.provenance),
            evaluation=_evaluation(publication.evaluation),
            rendering=_rendering(publication.rendering),
            tags=publication.tags,
        )
        if publication.base:
            header.base_reference = publication.base
    except (TypeError, ValueError, KeyError) as error:
        raise InvalidRequest(f"the publication cannot be sent: {error}", field="publication") from error
    return header


def _provenance(given: Provenance | None) -> adapter_pb2.Provenance | None:
    if given is None:
        return None
    return adapter_pb2.Provenance(
        data_digest=given.data_digest,
        hyper_parameters_json=_json(given.hyper_parameters),
        seed=given.seed,
        tools=given.tools,
        parent=given.parent,
        source=given.source,
    )


def _evaluation(given: Evaluation | None) -> adapter_pb2.Evaluation | None:
    if given is None:
        return None
    return adapter_pb2.Evaluation(
        data_digest=given.data_digest, examples=given.examples, metrics=given.metrics
    )


def _rendering(given: Rendering | None) -> adapter_pb2.Rendering | None:
    if given is None:
        return None
    return adapter_pb2.Rendering(
        form=_FORMS[given.form],
        chat_template_digest=given.chat_template_digest,
        template_variables_json=_json(given.template_variables),
    )


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False, allow_nan=False)
