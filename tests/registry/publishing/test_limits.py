"""What is accepted reads back, here and over the wire; what would not is refused before it is stored."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry import BaseContract, Contract, FolderRegistry, Manifest, Publication, TargetModule
from parfocal.registry.errors import InvalidPublication
from parfocal.registry.publishing.limits import check_limits
from parfocal.registry.values import (
    JSON,
    MAX_MANIFEST_BYTES,
    MAX_METRICS,
    MAX_PROVENANCE_BYTES,
    MAX_SIZE,
    MAX_TEMPLATE_VARIABLES_BYTES,
    MAX_TEXT,
    BaseShape,
    Evaluation,
    FileEntry,
    Provenance,
    Quantisation,
    Rendering,
    Version,
    digest_of,
)
from parfocal.registry.wire import (
    base_message,
    evaluation_message,
    provenance_message,
    read_base,
    read_evaluation,
    read_provenance,
    read_version,
    rendering_message,
    version_message,
)
from parfocal.registry.wire.reading import read_rendering
from parfocal.v1 import adapter_pb2 as pb
from parfocal.v1.limits import REPLY_BYTES

Write = Callable[..., Path]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = digest_of(b"x")
TEXTS = st.sampled_from(["", "x", "ä", "x" * MAX_TEXT, "x" * (MAX_TEXT + 1), "a\nb", "\u202e", "🙂" * 20])
SIZES = st.sampled_from([0, 1, 64, MAX_SIZE, MAX_SIZE + 1, -1, 1 << 40]) | st.integers(0, MAX_SIZE)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(1 << 70), 1 << 70)
JSONS = st.recursive(
    st.none() | st.booleans() | TEXTS | st.integers(-(1 << 64), 1 << 64) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
BASES = st.builds(
    BaseContract,
    id=TEXTS,
    revision=st.none() | TEXTS,
    config_digest=st.just(DIGEST),
    quantisation=st.builds(Quantisation, TEXTS, st.booleans(), SIZES),
    tokenizer_digest=st.just(DIGEST),
    chat_template_digest=st.none() | st.just(DIGEST),
    verified=st.booleans(),
    shape=st.none() | st.builds(BaseShape, *[SIZES] * 6),
)
TARGETS = st.builds(
    TargetModule, TEXTS, SIZES, SIZES, st.integers(1, 256), st.floats(1e-30, 3e38, allow_nan=False)
)


def made(kind: Callable[..., object], **fields: object) -> object | None:
    """What `kind` makes of the fields, or None where it refuses them."""
    try:
        return kind(**fields)
    except InvalidPublication:
        return None


PROVENANCES = st.none() | st.builds(
    made,
    st.just(Provenance),
    data_digest=TEXTS,
    hyper_parameters=st.dictionaries(TEXTS, JSONS, max_size=3),
    seed=st.none() | st.sampled_from([0, -(1 << 63), (1 << 63) - 1]),
    tools=st.dictionaries(TEXTS, TEXTS, max_size=3),
    parent=st.none() | TEXTS,
)
EVALUATIONS = st.none() | st.builds(
    made,
    st.just(Evaluation),
    data_digest=TEXTS,
    examples=SIZES,
    metrics=st.dictionaries(TEXTS, NUMBERS, max_size=3),
)
RENDERINGS = st.none() | st.builds(
    made,
    st.just(Rendering),
    form=st.sampled_from(["chat", "raw"]),
    template_variables=st.dictionaries(TEXTS, JSONS, max_size=3),
)


@given(BASES, st.lists(TARGETS, max_size=2).map(tuple), PROVENANCES, EVALUATIONS, RENDERINGS)
def test_what_is_accepted_reads_back_here_and_over_the_wire(
    base: BaseContract,
    targets: tuple[TargetModule, ...],
    provenance: Provenance | None,
    evaluation: Evaluation | None,
    rendering: Rendering | None,
) -> None:
    contract = Contract(base, targets, False, rendering)
    try:
        check_limits(contract, Publication(base, provenance, evaluation, rendering=rendering))
    except InvalidPublication as refusal:
        assert refusal.field
        return
    manifest = Manifest(2, (FileEntry("a", 1, DIGEST),), contract, provenance, evaluation, ())
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    version = Version("x", 1, manifest.digest, manifest.to_bytes(), NOW)
    sent = pb.Version.FromString(version_message(version, []).SerializeToString())
    assert read_version(sent).manifest == manifest
    assert len(sent.manifest.contract.targets) == len(targets)


@given(BASES, PROVENANCES, EVALUATIONS, RENDERINGS)
def test_what_a_publisher_says_arrives_as_it_was_said(
    base: BaseContract,
    provenance: Provenance | None,
    evaluation: Evaluation | None,
    rendering: Rendering | None,
) -> None:
    contract = Contract(base, (), False, rendering)
    try:
        check_limits(contract, Publication(base, provenance, evaluation, rendering=rendering))
        assert read_base(base_message(base)) == base
    except InvalidPublication:
        return  # also what the wire alone refuses, such as a base without a name
    if provenance is not None:
        assert read_provenance(provenance_message(provenance) or pb.Provenance()) == provenance
    if evaluation is not None:
        assert read_evaluation(evaluation_message(evaluation) or pb.Evaluation()) == evaluation
    if rendering is not None:
        assert read_rendering(rendering_message(rendering) or pb.Rendering()) == rendering


def filled(count: int) -> dict[str, JSON]:
    """Hyper-parameters that make provenance exactly so many bytes long."""
    bare = len(b'{"data_digest":"","hyper_parameters":{"x":""},"parent":null,"seed":null,"tools":{}}')
    return {"x": "y" * (count - bare)}


@pytest.mark.parametrize(
    ("says", "field"),
    [
        (lambda more: {"provenance": Provenance("", filled(MAX_PROVENANCE_BYTES + more))}, "provenance"),
        (
            lambda more: {"evaluation": Evaluation("", 1, {f"m{n}": 0.5 for n in range(MAX_METRICS + more)})},
            "evaluation.metrics",
        ),
        (
            lambda more: {"evaluation": Evaluation("", 1, {"m" * (MAX_TEXT + more): 0.5})},
            "evaluation.metrics",
        ),
        (lambda more: {"evaluation": Evaluation("", MAX_SIZE + more)}, "evaluation.examples"),
        (lambda more: {"provenance": Provenance("", parent="p" * (MAX_TEXT + more))}, "provenance.parent"),
        (
            lambda more: {"provenance": Provenance("", tools={"t": "1" * (MAX_TEXT + more)})},
            "provenance.tools",
        ),
        (
            lambda more: {
                "rendering": Rendering(
                    "chat", None, {"x": "y" * (MAX_TEMPLATE_VARIABLES_BYTES - len(b'{"x":""}') + more)}
                )
            },
            "rendering.template_variables",
        ),
    ],
)
def test_what_is_at_a_limit_is_published_and_what_is_above_it_refused(
    registry: FolderRegistry,
    adapter: Write,
    base: BaseContract,
    says: Callable[[int], dict[str, object]],
    field: str,
) -> None:
    with pytest.raises(InvalidPublication) as refused:
        registry.publish("x", adapter(), Publication(base, **says(1)))  # type: ignore[arg-type]
    assert refused.value.field == field
    assert registry.adapters().items == ()
    for more in (0, -1):
        published = registry.publish("x", adapter(), Publication(base, **says(more)))  # type: ignore[arg-type]
        assert registry.resolve("x") == published


@pytest.mark.parametrize("size", [MAX_SIZE + 1, -1])
def test_a_base_of_impossible_sizes_is_refused(
    registry: FolderRegistry, adapter: Write, base: BaseContract, size: int
) -> None:
    for changed, field in (
        (replace(base, quantisation=Quantisation(block_size=size)), "base.quantisation.block_size"),
        (replace(base, scheme=size), "base.scheme"),
    ):
        with pytest.raises(InvalidPublication) as refused:
            registry.publish("x", adapter(), Publication(changed))
        assert refused.value.field == field


def widest() -> Manifest:
    """The manifest that a publisher can make largest as a message, almost as long as one can be."""
    base = BaseContract.unverified("b")
    metrics = {f"{n:x}": 0.0 for n in range(MAX_METRICS)}
    targets = tuple(TargetModule(f"m.{n}", 1, 1, 1, 1.0) for n in range(55_000))
    return Manifest(2, (), Contract(base, targets, False), None, Evaluation("", 1, metrics), ())


def test_the_reply_of_the_largest_manifest_fits_a_message() -> None:
    manifest = widest()
    data = manifest.to_bytes()
    assert 0.9 * MAX_MANIFEST_BYTES < len(data) <= MAX_MANIFEST_BYTES
    message = version_message(Version("x", 1, digest_of(data), data, NOW, manifest), [])
    assert message.HasField("manifest")
    assert len(data) < message.ByteSize() < REPLY_BYTES.most // 2


def test_a_manifest_larger_than_can_be_published_today_is_sent_without_its_fields() -> None:
    manifest = widest()
    contract = manifest.contract
    larger = replace(manifest, contract=replace(contract, targets=contract.targets * 2))
    data = larger.to_bytes()
    message = version_message(Version("x", 1, digest_of(data), data, NOW), [])
    assert not message.HasField("manifest")
    assert read_version(message).manifest == larger
    assert message.ByteSize() < REPLY_BYTES.most


JSON_PIECES = st.sampled_from([
    b"-1", b"1e999", b"NaN", b"null", b"[]", b"{}", b'"x"', b"99999999999", b"true", b"[[", b"\xff",
    b'"a":1,', b"",
])  # fmt: skip


@given(st.data())
def test_any_stored_bytes_are_sent_and_are_a_manifest_or_a_fault(data: st.DataObject) -> None:
    """Whatever an earlier or a later Parfocal, a disk or a person wrote into the index."""
    stored = SMALL.to_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(stored)))
        end = data.draw(st.integers(begin, min(len(stored), begin + 12)))
        stored = stored[:begin] + data.draw(JSON_PIECES) + stored[end:]
    check_sent(Version("x", 1, digest_of(stored), stored, NOW))


@pytest.mark.parametrize("number", [1 << 31, 1 << 62])
@pytest.mark.parametrize("field", [b'"in_features":1', b'"block_size":64', b'"examples":7', b'"layers":2'])
def test_a_number_that_no_field_holds_is_sent_as_it_is_stored(field: bytes, number: int) -> None:
    stored = SMALL.to_bytes().replace(field, field.rpartition(b":")[0] + b":%d" % number)
    assert stored != SMALL.to_bytes()
    version = Version("x", 1, digest_of(stored), stored, NOW)
    assert version.fault is None
    check_sent(version)


SMALL = Manifest(
    2,
    (FileEntry("a", 1, DIGEST),),
    Contract(
        replace(BaseContract.unverified("b"), shape=BaseShape(2, 8, 8, 2, 1, 4)),
        (TargetModule("m", 1, 1, 1, 0.5),),
        False,
        Rendering("chat", None, {"x": 1}),
    ),
    Provenance("", {"x": [1, 2.5]}, 3, {"t": "1"}, "x@1"),
    Evaluation("", 7, {"loss": 0.5}),
    ("w",),
)


def check_sent(version: Version) -> None:
    message = pb.Version.FromString(version_message(version, []).SerializeToString())
    assert message.manifest_json == version.manifest_bytes
    if version.fault is not None:
        assert not message.HasField("manifest")
        return
    assert read_version(message).manifest == version.manifest
