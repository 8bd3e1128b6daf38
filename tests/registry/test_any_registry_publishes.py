"""What publishing and materialising promise in every registry: one test for a folder and a server."""

from collections.abc import Callable
from pathlib import Path

import pytest

from parfocal.registry import (
    BaseContract,
    Evaluation,
    Provenance,
    Publication,
    Registry,
    RegistryError,
    Rendering,
)
from parfocal.registry.errors import (
    AdapterNotFound,
    AliasNotFound,
    BaseUnreachable,
    ContractMismatch,
    InvalidName,
    InvalidReference,
    PickleRefused,
    UnsupportedAdapter,
    VersionNotFound,
)

Write = Callable[..., Path]


def test_a_published_version_is_found_by_every_spelling(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    version = any_registry.publish("team/x", adapter(), publication)
    any_registry.set_alias("team/x", "prod", 1)
    assert (version.name, version.version) == ("team/x", 1)
    assert version.digest == version.manifest.digest
    for selector in ("", "@1", "@prod", "@latest", f"@{version.digest}"):
        assert any_registry.resolve(f"team/x{selector}") == version
    assert any_registry.find(version.digest) == version


def test_the_contract_is_read_from_the_folder_and_its_base(
    any_registry: Registry, adapter: Write, publication: Publication, base: BaseContract
) -> None:
    contract = any_registry.publish("x", adapter(config={"use_rslora": True}), publication).manifest.contract
    assert contract.base == base
    assert contract.use_rslora
    assert [target.path for target in contract.targets] == [
        f"model.layers.{layer}.self_attn.{name}" for layer in (0, 1) for name in ("q_proj", "v_proj")
    ]


def test_provenance_evaluation_and_rendering_come_back_as_they_were_given(
    any_registry: Registry, adapter: Write, base: BaseContract
) -> None:
    provenance = Provenance(
        "sha256:d", {"lr": 1e-3, "steps": 100, "mix": [1, {"a": None}]}, 7, {"peft": "1"}, "y@2"
    )
    evaluation = Evaluation("sha256:e", 50, {"exact_match": 0.98, "loss": 1})
    rendering = Rendering("chat", base.tokenizer_digest, {"enable_thinking": False, "top": [1, None]})
    publication = Publication(base, provenance, evaluation, rendering=rendering)
    manifest = any_registry.publish("x", adapter(), publication).manifest
    assert (manifest.provenance, manifest.evaluation) == (provenance, evaluation)
    assert manifest.contract.rendering == rendering
    assert any_registry.resolve("x").manifest == manifest


def test_publishing_is_told_as_it_goes(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    told: list[tuple[int, int]] = []
    any_registry.publish("x", adapter(), publication, lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] > 0


def test_equal_content_keeps_its_version_and_spends_no_number(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    first = any_registry.publish("x", adapter(), publication)
    assert any_registry.publish("x", adapter(), publication) == first
    assert any_registry.publish("x", adapter(fill=2), publication).version == 2


def test_equal_content_under_two_names_has_one_digest(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    folder = adapter()
    one, two = (
        any_registry.publish("one", folder, publication),
        any_registry.publish("two", folder, publication),
    )
    assert one.digest == two.digest
    assert (one.version, two.version) == (1, 1)


def test_a_digest_under_another_name_is_not_found(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    digest = any_registry.publish("one", adapter(), publication).digest
    any_registry.publish("two", adapter(fill=2), publication)
    with pytest.raises(VersionNotFound):
        any_registry.resolve(f"two@{digest}")


def test_a_materialised_folder_holds_the_two_files(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    folder = adapter()
    version = any_registry.publish("x", folder, publication)
    copy = any_registry.materialise(version.digest)
    assert sorted(path.name for path in copy.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    weights = "adapter_model.safetensors"
    assert (copy / weights).read_bytes() == (folder / weights).read_bytes()


def test_a_spoilt_local_copy_is_made_again(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    folder = adapter()
    version = any_registry.publish("x", folder, publication)
    weights = any_registry.materialise(version.digest) / "adapter_model.safetensors"
    weights.unlink()
    weights.write_bytes(b"\0" * version.manifest.files[1].size)
    again = any_registry.materialise(version.digest) / "adapter_model.safetensors"
    assert again.read_bytes() == (folder / "adapter_model.safetensors").read_bytes()


def test_a_stranger_in_a_local_copy_is_removed(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    digest = any_registry.publish("x", adapter(), publication).digest
    folder = any_registry.materialise(digest)
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04")
    (folder / "nested").mkdir()
    assert len(list(any_registry.materialise(digest).iterdir())) == 2


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("nobody", AdapterNotFound),
        ("nobody@1", AdapterNotFound),
        ("team/x@9", VersionNotFound),
        ("team/x@prod", AliasNotFound),
        (f"team/x@sha256:{'0' * 64}", VersionNotFound),
        ("team/x@", InvalidReference),
        ("../x", InvalidName),
        ("", InvalidReference),
    ],
)
def test_a_reference_that_means_nothing_is_refused(
    any_registry: Registry, versions: Callable[[int], None], reference: str, error: type[RegistryError]
) -> None:
    versions(1)
    with pytest.raises(error):
        any_registry.resolve(reference)


def test_a_manifest_is_found_by_its_digest(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    version = any_registry.publish("x", adapter(), publication)
    assert any_registry.manifest(version.digest) == version.manifest
    any_registry.materialise(version.digest)
    assert any_registry.manifest(version.digest) == version.manifest
    with pytest.raises(VersionNotFound):
        any_registry.manifest(f"sha256:{'0' * 64}")


def test_an_unknown_digest_is_not_materialised(any_registry: Registry) -> None:
    with pytest.raises(VersionNotFound):
        any_registry.materialise(f"sha256:{'0' * 64}")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "Team/x", "\u0430dmin", "a/b/c", "", "x@1"])
def test_nothing_is_published_under_a_bad_name(
    any_registry: Registry, adapter: Write, publication: Publication, name: str
) -> None:
    with pytest.raises(InvalidName):
        any_registry.publish(name, adapter(), publication)
    assert any_registry.adapters().items == ()


def test_a_refused_adapter_leaves_no_name_behind_and_the_next_one_works(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    bad = adapter()
    (bad / "adapter_model.safetensors").write_bytes(b"\x80\x04\x95" + b"\0" * 60)
    with pytest.raises(PickleRefused):
        any_registry.publish("x", bad, publication)
    with pytest.raises(UnsupportedAdapter, match="use_dora") as refused:
        any_registry.publish("x", adapter(config={"use_dora": True}), publication)
    assert refused.value.field == "use_dora"
    with pytest.raises(AdapterNotFound):
        any_registry.resolve("x")
    assert any_registry.publish("x", adapter(), publication).version == 1


def test_an_adapter_for_a_base_of_another_shape_is_refused(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    with pytest.raises(ContractMismatch, match="layer 5"):
        any_registry.publish("x", adapter(layers=(5,)), publication)


def test_an_undescribed_base_is_refused_unless_that_is_meant(any_registry: Registry, adapter: Write) -> None:
    with pytest.raises(BaseUnreachable, match="--unverified-base"):
        any_registry.publish("x", adapter(base="org/unreachable"), Publication())
    version = any_registry.publish("x", adapter(base="org/unreachable"), Publication(unverified_base=True))
    assert version.manifest.contract.base == BaseContract.unverified("org/unreachable")


def test_a_base_other_than_the_configuration_names_is_noted(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    [warning] = any_registry.publish("x", adapter(base="org/other"), publication).manifest.warnings
    assert "org/other" in warning
    assert "small-base" in warning
