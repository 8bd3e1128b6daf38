"""What every registry promises, wherever it is: the same tests for a folder and for a server."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from parfocal.registry import (
    BaseContract,
    Evaluation,
    MoveKind,
    Provenance,
    Publication,
    Registry,
    RegistryError,
)
from parfocal.registry.errors import (
    AdapterNotFound,
    AliasMoved,
    AliasNotFound,
    BaseUnreachable,
    ContractMismatch,
    InvalidAlias,
    InvalidArgument,
    InvalidName,
    InvalidPage,
    InvalidReference,
    NothingToRollBack,
    PickleRefused,
    UnsupportedAdapter,
    VersionInUse,
    VersionNotFound,
)

Write = Callable[..., Path]


@pytest.fixture
def versions(any_registry: Registry, adapter: Write, publication: Publication) -> Callable[[int], None]:
    """Returns a function that publishes that many versions of `team/x`."""

    def publish(count: int) -> None:
        for fill in range(1, count + 1):
            any_registry.publish("team/x", adapter(fill=fill), publication)

    return publish


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


def test_provenance_and_evaluation_come_back_as_they_were_given(
    any_registry: Registry, adapter: Write, base: BaseContract
) -> None:
    provenance = Provenance(
        "sha256:d", {"lr": 1e-3, "steps": 100, "mix": [1, {"a": None}]}, 7, {"peft": "1"}, "y@2"
    )
    evaluation = Evaluation("sha256:e", 50, {"exact_match": 0.98, "loss": 1})
    manifest = any_registry.publish("x", adapter(), Publication(base, provenance, evaluation)).manifest
    assert (manifest.provenance, manifest.evaluation) == (provenance, evaluation)
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


def test_an_alias_moves_and_every_move_is_kept(
    any_registry: Registry, versions: Callable[[int], None]
) -> None:
    versions(2)
    began = datetime.now(UTC)
    any_registry.set_alias("team/x", "prod", 1, expected_version=0, actor="ann")
    moved = any_registry.set_alias("team/x", "prod", 2, expected_version=1, actor="ben")
    assert (moved.version, moved.actor, moved.digest) == (2, "ben", any_registry.resolve("team/x@2").digest)
    assert any_registry.aliases("team/x") == [moved]
    last, first = any_registry.alias_history("team/x", "prod")
    assert (first.previous_version, first.version, first.kind, first.actor) == (0, 1, MoveKind.SET, "ann")
    assert (last.previous_version, last.version, last.kind, last.actor) == (1, 2, MoveKind.SET, "ben")
    assert began <= first.moved_at <= last.moved_at <= datetime.now(UTC)


@pytest.mark.parametrize(("expected", "actual"), [(0, "1"), (2, "1")])
def test_a_stale_expectation_does_not_move_an_alias(
    any_registry: Registry, versions: Callable[[int], None], expected: int, actual: str
) -> None:
    versions(2)
    any_registry.set_alias("team/x", "prod", 1)
    with pytest.raises(AliasMoved) as refused:
        any_registry.set_alias("team/x", "prod", 2, expected_version=expected)
    assert refused.value.metadata["expected"] == str(expected)
    assert refused.value.metadata["actual"] == actual
    assert any_registry.resolve("team/x@prod").version == 1
    assert len(any_registry.alias_history("team/x", "prod")) == 1


def test_an_alias_that_must_exist_and_does_not_is_not_made(
    any_registry: Registry, versions: Callable[[int], None]
) -> None:
    versions(1)
    with pytest.raises(AliasMoved, match="does not exist"):
        any_registry.set_alias("team/x", "prod", 1, expected_version=1)
    assert any_registry.aliases("team/x") == []


def test_an_alias_set_where_it_points_already_records_nothing(
    any_registry: Registry, versions: Callable[[int], None]
) -> None:
    versions(1)
    first = any_registry.set_alias("team/x", "prod", 1, actor="ann")
    assert any_registry.set_alias("team/x", "prod", 1, actor="ben") == first
    assert len(any_registry.alias_history("team/x", "prod")) == 1


def test_rolling_back_twice_goes_two_moves_back(
    any_registry: Registry, versions: Callable[[int], None]
) -> None:
    versions(3)
    for version in (1, 2, 3):
        any_registry.set_alias("team/x", "prod", version)
    assert any_registry.rollback_alias("team/x", "prod", "ann").version == 2
    assert any_registry.rollback_alias("team/x", "prod").version == 1
    with pytest.raises(NothingToRollBack):
        any_registry.rollback_alias("team/x", "prod")
    kinds = [
        (move.kind, move.previous_version, move.version)
        for move in any_registry.alias_history("team/x", "prod")
    ]
    assert kinds[:2] == [(MoveKind.ROLLBACK, 2, 1), (MoveKind.ROLLBACK, 3, 2)]


def test_an_alias_cannot_point_at_nothing(any_registry: Registry, versions: Callable[[int], None]) -> None:
    versions(1)
    with pytest.raises(VersionNotFound):
        any_registry.set_alias("team/x", "prod", 2)
    with pytest.raises(AdapterNotFound):
        any_registry.set_alias("nobody", "prod", 1)
    with pytest.raises(AliasNotFound):
        any_registry.rollback_alias("team/x", "prod")
    with pytest.raises(AliasNotFound):
        any_registry.alias_history("team/x", "prod")


@pytest.mark.parametrize("alias", ["latest", "3", "sha256:x", "Prod", "../x"])
def test_a_word_that_is_no_alias_is_not_set(
    any_registry: Registry, versions: Callable[[int], None], alias: str
) -> None:
    versions(1)
    with pytest.raises(InvalidAlias):
        any_registry.set_alias("team/x", alias, 1)


@pytest.mark.parametrize(
    ("version", "expected", "actor"), [(0, None, ""), (1 << 40, None, ""), (1, -1, ""), (1, None, "a\nb")]
)
def test_arguments_out_of_range_are_refused(
    any_registry: Registry, versions: Callable[[int], None], version: int, expected: int | None, actor: str
) -> None:
    versions(1)
    with pytest.raises(InvalidArgument) as refused:
        any_registry.set_alias("team/x", "prod", version, expected, actor)
    assert refused.value.field in ("version", "expected_version", "actor")


def test_a_version_that_an_alias_points_at_is_not_deleted(
    any_registry: Registry, versions: Callable[[int], None]
) -> None:
    versions(2)
    any_registry.set_alias("team/x", "prod", 1)
    with pytest.raises(VersionInUse, match="prod"):
        any_registry.delete_version("team/x", 1)
    assert any_registry.resolve("team/x@1").version == 1


def test_a_deleted_number_is_never_used_again(
    any_registry: Registry, adapter: Write, publication: Publication, versions: Callable[[int], None]
) -> None:
    versions(2)
    any_registry.delete_version("team/x", 2)
    assert any_registry.resolve("team/x").version == 1
    with pytest.raises(VersionNotFound, match="was deleted"):
        any_registry.resolve("team/x@2")
    with pytest.raises(VersionNotFound):
        any_registry.delete_version("team/x", 2)
    assert any_registry.publish("team/x", adapter(fill=2), publication).version == 3


def test_an_adapter_whose_versions_were_all_deleted_is_still_listed(
    any_registry: Registry, versions: Callable[[int], None]
) -> None:
    versions(1)
    any_registry.delete_version("team/x", 1)
    [summary] = any_registry.adapters().items
    assert (summary.latest_version, summary.version_count) == (0, 0)
    assert any_registry.versions("team/x").items == ()
    with pytest.raises(VersionNotFound, match="no version left"):
        any_registry.resolve("team/x")


def test_versions_are_listed_newest_first_page_by_page(
    any_registry: Registry, versions: Callable[[int], None]
) -> None:
    versions(5)
    first = any_registry.versions("team/x", page_size=2)
    second = any_registry.versions("team/x", 2, first.next_page_token)
    third = any_registry.versions("team/x", 2, second.next_page_token)
    numbers = [version.version for page in (first, second, third) for version in page.items]
    assert numbers == [5, 4, 3, 2, 1]
    assert third.next_page_token == ""


def test_adapters_are_listed_by_name_page_by_page(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    folder = adapter()
    for name in ("b", "team/a", "a"):
        any_registry.publish(name, folder, publication)
    any_registry.set_alias("a", "prod", 1)
    first = any_registry.adapters(page_size=2)
    second = any_registry.adapters(2, first.next_page_token)
    assert [summary.name for summary in (*first.items, *second.items)] == ["a", "b", "team/a"]
    assert second.next_page_token == ""
    assert first.items[0].aliases == {"prod": 1}
    assert (first.items[0].latest_version, first.items[0].version_count) == (1, 1)


def test_bad_pages_are_refused(any_registry: Registry, versions: Callable[[int], None]) -> None:
    versions(2)
    token = any_registry.versions("team/x", 1).next_page_token
    with pytest.raises(InvalidPage):
        any_registry.versions("team/x", -1)
    with pytest.raises(InvalidPage):
        any_registry.adapters(page_token=token)
    with pytest.raises(InvalidPage):
        any_registry.adapters(page_token="nonsense")


def test_an_unknown_adapter_has_neither_versions_nor_aliases(any_registry: Registry) -> None:
    with pytest.raises(AdapterNotFound):
        any_registry.versions("nobody")
    with pytest.raises(AdapterNotFound):
        any_registry.aliases("nobody")
