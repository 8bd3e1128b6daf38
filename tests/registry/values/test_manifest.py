"""Manifests: canonical bytes, one digest, strict reading; contracts and the differences between them."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry import (
    BaseContract,
    Contract,
    Evaluation,
    FileEntry,
    Manifest,
    Provenance,
    Quantisation,
    Rendering,
    TargetModule,
)
from parfocal.registry.errors import InvalidManifest, InvalidPublication, RegistryTooNew
from parfocal.registry.values import MEANING, SPELLING, BaseDigests, BaseShape
from parfocal.registry.values.digest import digest_of

DIGEST = digest_of(b"x")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
BASES = st.builds(
    BaseContract,
    id=TEXT,
    revision=st.none() | TEXT,
    config_digest=TEXT,
    quantisation=st.builds(Quantisation, TEXT, st.booleans(), st.integers(0, 4096)),
    tokenizer_digest=TEXT,
    chat_template_digest=st.none() | TEXT,
    verified=st.booleans(),
    shape=st.none()
    | st.builds(
        BaseShape,
        *[st.integers(0, 10**6)] * 6,
        fused=st.none() | st.booleans(),
        prefix=st.sampled_from(["model.", "model.language_model.", ""]),
    ),
)
BASES |= st.builds(replace, BASES, scheme=st.just(MEANING), weights_fingerprint=st.none() | TEXT)
TARGETS = st.builds(
    TargetModule, TEXT, *[st.integers(0, 10**6)] * 3, st.floats(allow_nan=False, allow_infinity=False)
)
RENDERINGS = st.builds(
    Rendering,
    form=st.sampled_from(["chat", "raw"]),
    chat_template_digest=st.none() | TEXT,
    template_variables=st.dictionaries(
        TEXT, st.none() | st.booleans() | TEXT | st.integers(-5, 5), max_size=2
    ),
)
MANIFESTS = st.builds(
    Manifest,
    schema=st.just(1),
    files=st.sampled_from(
        [(), (FileEntry("a.json", 3, DIGEST),), (FileEntry("a", 0, DIGEST), FileEntry("b", 1, DIGEST))]
    ),
    contract=st.builds(
        Contract,
        BASES,
        st.lists(TARGETS, max_size=3).map(tuple),
        st.booleans(),
        st.none() | RENDERINGS,
        st.none() | TEXT,
    ),
    provenance=st.none()
    | st.builds(
        Provenance,
        data_digest=TEXT,
        hyper_parameters=st.dictionaries(
            TEXT, st.integers(-5, 5) | TEXT | st.lists(st.booleans(), max_size=2), max_size=3
        ),
        seed=st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
        tools=st.dictionaries(TEXT, TEXT, max_size=2),
        parent=st.none() | TEXT,
    ),
    evaluation=st.none()
    | st.builds(
        Evaluation,
        data_digest=TEXT,
        examples=st.integers(0, 10**6),
        metrics=st.dictionaries(TEXT, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    ),
    warnings=st.lists(TEXT, max_size=2).map(tuple),
)
BASE = BaseContract("org/base", "abc", DIGEST, Quantisation(), DIGEST, None, verified=True)
MANIFEST = Manifest(
    schema=1,
    files=(FileEntry("adapter_config.json", 2, DIGEST),),
    contract=Contract(
        BASE, (TargetModule("model.layers.0.self_attn.q_proj", 16, 16, 4, 8.0),), use_rslora=False
    ),
    provenance=None,
    evaluation=None,
    warnings=(),
)


@given(MANIFESTS)
def test_a_manifest_reads_back_as_it_is_written(manifest: Manifest) -> None:
    read = Manifest.from_bytes(manifest.to_bytes())
    assert read == manifest
    assert read.digest == manifest.digest


def test_the_digest_is_that_of_the_canonical_bytes() -> None:
    assert MANIFEST.digest == digest_of(MANIFEST.to_bytes())


def test_the_digest_of_a_known_manifest_never_changes() -> None:
    """Versions live for ever: a change that moves this digest needs a new schema number."""
    assert MANIFEST.digest == "sha256:9560351c41dcc0cb8e59ba0129600a1057957bd8440a367e32db8b62a1a7746d"


def test_what_a_contract_does_not_know_is_not_written_as_before_it_was_recorded() -> None:
    assert json.loads(MANIFEST.to_bytes())["contract"].keys() == {"base", "targets", "use_rslora"}


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda m: m.pop("files"), "files: is missing"),
        (lambda m: m.update(extra=1), "extra: is not known"),
        (lambda m: m["contract"]["base"].update(id=5), r"contract\.base\.id: is a number, not text"),
        (lambda m: m["contract"]["base"].update(verified=1), "not true or false"),
        (lambda m: m["contract"]["targets"][0].update(rank=True), "boolean"),
        (lambda m: m["contract"]["targets"][0].update(rank=-1), "below zero"),
        (lambda m: m["files"][0].update(path="../x"), "plain file name"),
        (lambda m: m["files"][0].update(path="/etc/passwd"), "plain file name"),
        (lambda m: m["files"][0].update(path="a/b"), "plain file name"),
        (lambda m: m["files"][0].update(digest="md5:1"), "not a digest"),
        (lambda m: m["files"].append(m["files"][0]), "twice"),
        (lambda m: m.update(warnings=[1]), "not text"),
        (lambda m: m["contract"].update(rendering=None), r"contract\.rendering: is null"),
        (lambda m: m["contract"].update(rendering={"form": "chat"}), "chat_template_digest: is missing"),
        (
            lambda m: m["contract"].update(
                rendering={"form": "prose", "chat_template_digest": None, "template_variables": {}}
            ),
            "'prose', none of chat, raw",
        ),
        (lambda m: m.update(schema="1"), "schema"),
    ],
)
def test_a_manifest_of_another_form_is_refused(edit: object, why: str) -> None:
    fields = json.loads(MANIFEST.to_bytes())
    assert callable(edit)
    edit(fields)
    data = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(InvalidManifest, match=why):
        Manifest.from_bytes(data)


def test_a_manifest_that_is_not_canonical_is_refused() -> None:
    with pytest.raises(InvalidManifest, match="canonical"):
        Manifest.from_bytes(MANIFEST.to_bytes().replace(b":", b": ", 1))


def test_a_manifest_of_a_newer_schema_asks_for_an_upgrade() -> None:
    with pytest.raises(RegistryTooNew, match="schema 3"):
        Manifest.from_bytes(MANIFEST.to_bytes().replace(b'"schema":1', b'"schema":3'))


@given(st.binary(max_size=80))
def test_any_bytes_are_a_manifest_or_refused(data: bytes) -> None:
    with pytest.raises(InvalidManifest):
        Manifest.from_bytes(data)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"revision": "def"}, "base.revision"),
        ({"config_digest": "sha256:1"}, "base.config_digest"),
        ({"tokenizer_digest": "sha256:1"}, "base.tokenizer_digest"),
        ({"chat_template_digest": "sha256:1"}, "base.chat_template_digest"),
        ({"quantisation": Quantisation(double_quant=False)}, "base.quantisation"),
    ],
)
def test_each_difference_between_bases_is_named(change: dict[str, object], field: str) -> None:
    other = replace(BASE, **change)  # type: ignore[arg-type]
    [difference] = BASE.differences(other)
    assert difference.field == field
    assert difference.expected != difference.actual
    assert str(difference).startswith(f"{field}: expected ")


def test_a_manifest_of_the_first_schema_keeps_its_bytes_and_digest() -> None:
    assert b"scheme" not in MANIFEST.to_bytes()
    assert MANIFEST.digest == "sha256:9560351c41dcc0cb8e59ba0129600a1057957bd8440a367e32db8b62a1a7746d"


def test_an_adapter_of_the_first_scheme_finds_its_base_by_the_digests_of_then() -> None:
    earlier = BaseDigests(SPELLING, BASE.config_digest, BASE.tokenizer_digest)
    served = replace(BASE, config_digest="sha256:2", tokenizer_digest="sha256:3", scheme=MEANING)

    assert BASE.differences(replace(served, earlier=earlier)) == []
    assert replace(served, earlier=earlier).differences(BASE) == []
    changed = replace(served, earlier=replace(earlier, config="sha256:4"))
    assert [d.field for d in BASE.differences(changed)] == ["base.config_digest"]


def test_digests_without_a_common_scheme_are_never_taken_for_equal() -> None:
    assert [d.field for d in BASE.differences(replace(BASE, scheme=MEANING))] == ["base.scheme"]


def test_other_weights_are_another_base_whatever_its_name_and_revision() -> None:
    base = replace(BASE, scheme=MEANING, weights_fingerprint="plain:a")
    other = replace(base, weights_fingerprint="plain:b")

    assert [d.field for d in base.differences(other)] == ["base.weights_fingerprint"]
    assert base.differences(replace(base, weights_fingerprint="bitsandbytes-nf4:b")) == []
    assert base.differences(replace(base, weights_fingerprint=None)) == []


def test_a_revision_only_warns_where_the_weights_are_known_to_be_the_same() -> None:
    base = replace(BASE, scheme=MEANING, weights_fingerprint="plain:a")
    newer = replace(base, revision="def", id="mirror/copy")

    assert base.differences(newer) == []
    assert [d.field for d in base.cautions(newer)] == ["base.id", "base.revision"]
    unseen = replace(newer, weights_fingerprint=None)
    assert [d.field for d in base.differences(unseen)] == ["base.revision"]


def test_what_an_unverified_base_does_not_know_is_no_difference() -> None:
    assert BaseContract.unverified("base").differences(BASE) == []
    assert BASE.differences(replace(BASE, revision=None)) == []


def test_contracts_differ_module_by_module() -> None:
    contract = MANIFEST.contract
    [target] = contract.targets
    other = Contract(BASE, (replace(target, rank=8), replace(target, path="extra")), use_rslora=True)
    fields = [difference.field for difference in contract.differences(other)]
    assert fields == ["use_rslora", "targets.extra", f"targets.{target.path}"]
    assert contract.differences(contract) == []


def test_a_difference_in_the_own_template_is_named() -> None:
    [difference] = MANIFEST.contract.differences(replace(MANIFEST.contract, chat_template_digest="sha256:1"))
    assert str(difference) == "chat_template_digest: expected none, found sha256:1"


def test_a_difference_in_rendering_is_named() -> None:
    contract = replace(MANIFEST.contract, rendering=Rendering("raw"))
    other = replace(contract, rendering=Rendering("chat", "sha256:1", {"enable_thinking": False}))
    [difference] = contract.differences(other)
    assert str(difference) == (
        "rendering: expected raw, found chat, template sha256:1, enable_thinking=False"
    )


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_a_template_variable_without_json_form_is_not_recorded(value: object) -> None:
    with pytest.raises(InvalidPublication, match="template_variables"):
        Rendering("chat", template_variables={"x": value})  # type: ignore[dict-item]  # that is the point


def test_a_form_that_nobody_knows_is_not_recorded() -> None:
    with pytest.raises(InvalidPublication, match="'prose'; use one of chat, raw"):
        Rendering("prose")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "0.9"])
def test_a_metric_that_is_no_finite_number_is_not_recorded(value: float) -> None:
    with pytest.raises(InvalidPublication, match="loss") as refused:
        Evaluation(DIGEST, 1, {"loss": value})
    assert refused.value.field == "evaluation.metrics.loss"


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_a_hyper_parameter_without_json_form_is_not_recorded(value: object) -> None:
    with pytest.raises(InvalidPublication, match="hyper_parameters"):
        Provenance(DIGEST, {"x": value})  # type: ignore[dict-item]


def test_provenance_does_not_follow_later_changes() -> None:
    hyper_parameters: dict[str, list[int]] = {"layers": [1]}
    provenance = Provenance(DIGEST, hyper_parameters)
    hyper_parameters["layers"].append(2)
    assert provenance.hyper_parameters == {"layers": [1]}
