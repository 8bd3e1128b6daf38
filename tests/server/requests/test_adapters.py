"""References to adapters through a real registry: resolved anew each time, checked against the base."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from fakes.registry.peft_folders import Adapter, write_adapter, write_base
from parfocal.engine import AdapterKey, RankAndScale
from parfocal.registry import (
    BaseContract,
    Canary,
    CanaryPlan,
    FolderRegistry,
    Guard,
    GuardedMetric,
    Provenance,
    Publication,
    Rendering,
    Version,
    describe_base,
    locate_base,
)
from parfocal.registry.errors import AdapterNotFound, InvalidName
from parfocal.server.canaries import Ended, Splits
from parfocal.server.errors import ContractMismatch
from parfocal.server.requests import Manner, Resolved
from parfocal.server.requests.adapters import AdapterResolver, RegistryAdapterSource

T = TypeVar("T")


@pytest.fixture
def base(tmp_path: Path) -> BaseContract:
    return describe_base(locate_base(str(write_base(tmp_path / "small-base")), weights=False))


@pytest.fixture
def registry(tmp_path: Path, base: BaseContract) -> FolderRegistry:
    """Returns a registry with two versions of team/invoices and prod at the first."""
    registry = FolderRegistry(tmp_path / "registry")
    for fill in (1, 2):
        folder = write_adapter(tmp_path / f"adapter-{fill}", Adapter(fill=fill))
        registry.publish("team/invoices", folder, Publication(base))
    registry.set_alias("team/invoices", "prod", 1)
    return registry


def _with_resolver(registry: FolderRegistry, base: BaseContract, use: Callable[[AdapterResolver], T]) -> T:
    resolver = AdapterResolver(registry, base, threads=2)
    try:
        return use(resolver)
    finally:
        resolver.close()


def _resolve(registry: FolderRegistry, base: BaseContract, reference: str) -> AdapterKey | None:
    return _resolved(registry, base, reference).adapter


def _resolved(registry: FolderRegistry, base: BaseContract, reference: str) -> Resolved:
    return _with_resolver(registry, base, lambda resolver: asyncio.run(resolver.resolve(reference)))


def test_requests_of_an_alias_with_a_canary_are_split_by_their_keys(
    registry: FolderRegistry, base: BaseContract
) -> None:
    registry.set_canary("team/invoices", "prod", CanaryPlan(2, 5000))
    canary = registry.resolve("team/invoices@prod").canary
    assert canary is not None
    keys = [f"user-{number}" for number in range(20)]
    resolver = AdapterResolver(registry, base, 2, splits=Splits(lambda *_: None))

    async def all_of_them() -> list[Resolved]:
        return [await resolver.resolve("team/invoices@prod", key) for key in (*keys, *keys, "")]

    *split, without = asyncio.run(all_of_them())
    resolver.close()
    got = [each.adapter.version if each.adapter else 0 for each in split]
    assert got[:20] == got[20:] == [2 if canary.takes(key) else 1 for key in keys]
    assert set(got) == {1, 2}
    assert [each.arm and each.arm.is_canary for each in split] == [version == 2 for version in got]
    assert without.adapter is not None
    assert (without.adapter.version, without.arm) == (1, None)


def test_a_canary_for_another_base_fails_its_requests_and_is_found_worse(
    registry: FolderRegistry, base: BaseContract, tmp_path: Path
) -> None:
    other = replace(base, config_digest="sha256:" + "9" * 64)
    folder = write_adapter(tmp_path / "adapter-3", Adapter(fill=3))
    registry.publish("team/invoices", folder, Publication(other))
    guard = Guard(GuardedMetric.ERRORS, samples=20)
    registry.set_canary("team/invoices", "prod", CanaryPlan(3, 5000, (guard,)))
    told: list[Canary] = []
    splits = Splits(lambda canary, found: told.append(canary))
    resolver = AdapterResolver(registry, base, 2, splits=splits)

    async def ask(key: str) -> None:
        try:
            resolved = await resolver.resolve("team/invoices@prod", key)
        except ContractMismatch:
            return
        assert resolved.arm is not None
        splits.ended(resolved.arm, Ended(failed=False))

    async def ask_all() -> None:
        for number in range(100):
            await ask(f"user-{number}")

    asyncio.run(ask_all())
    resolver.close()
    assert [each.version for each in told] == [3]


def test_the_empty_reference_is_the_base(registry: FolderRegistry, base: BaseContract) -> None:
    assert _resolve(registry, base, "") is None


@pytest.mark.parametrize(
    ("reference", "version"),
    [("team/invoices", 2), ("team/invoices@latest", 2), ("team/invoices@prod", 1), ("team/invoices@1", 1)],
)
def test_a_reference_becomes_name_version_and_digest(
    registry: FolderRegistry, base: BaseContract, reference: str, version: int
) -> None:
    digest = registry.resolve(f"team/invoices@{version}").digest

    for asked in (reference, f"team/invoices@{digest}"):
        found = _resolve(registry, base, asked)
        assert found is not None
        assert (found.digest, found.name, found.version) == (digest, "team/invoices", version)


def test_an_alias_that_moved_counts_at_the_very_next_look(
    registry: FolderRegistry, base: BaseContract
) -> None:
    def scenario(resolver: AdapterResolver) -> list[int]:
        found = []
        for version in (2, 1, 2):
            registry.set_alias("team/invoices", "prod", version)
            key = asyncio.run(resolver.resolve("team/invoices@prod")).adapter
            assert key is not None
            found.append(key.version)
        return found

    assert _with_resolver(registry, base, scenario) == [2, 1, 2]


@pytest.mark.parametrize(
    ("publication", "manner"),
    [
        ({}, Manner()),
        ({"rendering": Rendering("raw")}, Manner("raw")),
        ({"rendering": Rendering("chat", None, {"x": 1})}, Manner("chat", None, {"x": 1})),
        ({"provenance": Provenance("", {"rendering": "chat"})}, Manner("chat")),
        ({"provenance": Provenance("", {"rendering": ["raw"]})}, Manner()),
        ({"provenance": Provenance("", {"rendering": "chat"}), "rendering": Rendering("raw")}, Manner("raw")),
    ],
)
def test_the_manner_of_an_adapter_is_what_its_version_records(
    registry: FolderRegistry, base: BaseContract, tmp_path: Path, publication: dict[str, Any], manner: Manner
) -> None:
    folder = write_adapter(tmp_path / "adapter", Adapter(fill=5))
    registry.publish("team/told", folder, Publication(base, **publication))

    assert _resolved(registry, base, "team/told").manner == manner


@pytest.mark.parametrize("where", ["chat_template.jinja", "tokenizer_config.json"])
def test_an_adapter_brings_its_own_chat_template(
    registry: FolderRegistry, base: BaseContract, tmp_path: Path, where: str
) -> None:
    folder = write_adapter(tmp_path / "adapter", Adapter(fill=5))
    template = "[{{ messages[0].content }}]\n"
    (folder / where).write_text(template if "jinja" in where else json.dumps({"chat_template": template}))
    registry.publish("team/own", folder, Publication(base, rendering=Rendering("chat")))

    assert _resolved(registry, base, "team/own").manner == Manner("chat", template)


def test_the_registrys_refusals_pass_unchanged(registry: FolderRegistry, base: BaseContract) -> None:
    with pytest.raises(AdapterNotFound):
        _resolve(registry, base, "team/absent")
    with pytest.raises(InvalidName):
        _resolve(registry, base, "../../etc/passwd")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"config_digest": "sha256:" + "0" * 64}, "base.config_digest"),
        ({"tokenizer_digest": "sha256:" + "0" * 64}, "base.tokenizer_digest"),
        ({"chat_template_digest": "sha256:" + "0" * 64}, "base.chat_template_digest"),
    ],
)
def test_an_adapter_of_another_base_is_refused_with_field_and_values(
    registry: FolderRegistry, base: BaseContract, change: dict[str, str], field: str
) -> None:
    served = replace(base, **change)  # type: ignore[arg-type]  # each changed field is text

    with pytest.raises(ContractMismatch) as caught:
        _resolve(registry, served, "team/invoices@1")

    assert caught.value.metadata["contract_field"] == field
    assert caught.value.metadata["actual"] == next(iter(change.values()))
    assert f"{field} is" in str(caught.value)
    assert caught.value.adapter.version == 1


def test_what_is_asked_for_again_is_refused_again_without_reading_its_manifest(
    registry: FolderRegistry, base: BaseContract
) -> None:
    class Unreadable(FolderRegistry):
        def resolve(self, reference: str) -> Version:
            found = super().resolve(reference)
            return replace(found, manifest_bytes=b"", known=None) if asked else found

    asked: list[ContractMismatch] = []
    with_other = replace(base, config_digest="sha256:" + "0" * 64)
    resolver = AdapterResolver(Unreadable(registry.path), with_other, threads=1)
    for _ in range(2):
        with pytest.raises(ContractMismatch) as caught:
            asyncio.run(resolver.resolve("team/invoices@1"))
        asked.append(caught.value)
    resolver.close()
    assert str(asked[0]) == str(asked[1])


def test_a_base_under_another_name_is_served_and_logged_once(
    registry: FolderRegistry, base: BaseContract, caplog: pytest.LogCaptureFixture
) -> None:
    resolver = AdapterResolver(registry, replace(base, id="copy-of-the-base"), threads=1)
    try:
        keys = [asyncio.run(resolver.resolve("team/invoices@1")) for _ in range(2)]
    finally:
        resolver.close()

    assert keys[0].adapter is not None
    assert keys[0] == keys[1]
    [record] = caplog.records
    assert "base.id: expected small-base, found copy-of-the-base" in record.getMessage()


def test_an_unverified_adapter_is_judged_by_what_is_known(
    registry: FolderRegistry, base: BaseContract, tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "blind", Adapter(fill=3))
    registry.publish("team/blind", folder, Publication(unverified_base=True))

    key = _resolve(registry, replace(base, config_digest="sha256:" + "0" * 64), "team/blind")
    with pytest.raises(ContractMismatch):
        _resolve(registry, replace(base, id="large-base"), "team/blind")

    assert key is not None


def test_the_engine_gets_a_folder_with_the_published_files(registry: FolderRegistry) -> None:
    version = registry.resolve("team/invoices@1")

    folder = RegistryAdapterSource(registry).folder(AdapterKey(version.digest))

    assert {file.name for file in folder.path.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }


@pytest.mark.parametrize(("rslora", "scale"), [(False, 8 / 4), (True, 8 / 2)])
def test_the_engine_gets_the_ranks_and_scales_of_the_manifest(
    registry: FolderRegistry, base: BaseContract, tmp_path: Path, rslora: bool, scale: float
) -> None:
    config = {"use_rslora": rslora, "alpha_pattern": {"v_proj": 2}}
    folder = write_adapter(tmp_path / "scaled", Adapter(config=config))
    version = registry.publish("team/scaled", folder, Publication(base))

    modules = RegistryAdapterSource(registry).folder(AdapterKey(version.digest)).modules

    assert modules["model.layers.0.self_attn.q_proj"] == RankAndScale(4, scale)
    assert modules["model.layers.1.self_attn.v_proj"] == RankAndScale(4, scale / 4)
    assert len(modules) == 4
