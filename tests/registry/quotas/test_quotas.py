"""Quotas as an operator writes them, and as a registry's server keeps them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.registry.publisher import numbered_adapter
from fakes.registry.registry_server import serving
from parfocal.registry import (
    FolderRegistry,
    NamespaceUse,
    Publication,
    Quota,
    Quotas,
    rebuild_folder,
)
from parfocal.registry.errors import InvalidArgument, InvalidName, QuotaExceeded
from parfocal.registry.remote import RemoteRegistry
from parfocal.server.errors import BadSetting
from parfocal.server.quotas import hold_to_quotas
from parfocal.server.settings import ServeConfig

GIB = 1 << 30


def test_a_quota_is_of_bytes_or_versions_or_both() -> None:
    quotas = Quotas.parse(" team=10GiB/1000, lab = 1.5GiB ,ci=/20, old=500, *=1MiB/5")
    assert quotas.of("team") == Quota(10 * GIB, 1000)
    assert quotas.of("lab") == Quota(3 * GIB // 2)
    assert quotas.of("ci") == Quota(None, 20)
    assert quotas.of("old") == Quota(500)
    assert quotas.of("anybody") == Quota(1 << 20, 5)
    assert Quotas.parse("").of("team") == Quota()


@pytest.mark.parametrize("text", ["team", "team=", "team=/", "team=ten", "team=1/x", "a=1,a=2", "=1GiB"])
def test_what_is_no_quota_is_refused(text: str) -> None:
    with pytest.raises((InvalidArgument, InvalidName)):
        Quotas.parse(text)


def test_a_server_that_cannot_keep_quotas_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="the setting quotas cannot be used"):
        hold_to_quotas(FolderRegistry(tmp_path / "here"), ServeConfig(quotas="team"))
    with pytest.raises(BadSetting, match="another process"):
        hold_to_quotas(RemoteRegistry("grpc://127.0.0.1:1", cache=tmp_path), ServeConfig(quotas="*=/1"))


def test_a_publisher_far_away_is_told_of_the_quota(
    tmp_path: Path, registry: FolderRegistry, publication: Publication
) -> None:
    registry.limit_to(Quotas.parse("team=/1"))
    with serving(registry, tmp_path / "uploads") as address:
        remote = RemoteRegistry(f"grpc://{address}", cache=tmp_path / "cache")
        remote.publish("team/x", numbered_adapter(tmp_path, 1), publication)
        with pytest.raises(QuotaExceeded, match="namespace 'team' has 1 versions, and may have 1") as refused:
            remote.publish("team/x", numbered_adapter(tmp_path, 2), publication)
        assert refused.value.metadata["limit"] == "1"
        (held,) = remote.namespaces().items
    assert held == replace(registry.namespaces().items[0])
    assert held == NamespaceUse("team", 1, 1, held.size_bytes, Quota(None, 1))


def test_a_rebuilt_index_knows_what_namespaces_hold(
    tmp_path: Path, adapter: Callable[..., Path], publication: Publication
) -> None:
    path = tmp_path / "registry"
    registry = FolderRegistry(path)
    for fill in (1, 2):
        registry.publish("team/x", adapter(fill=fill), publication)
    registry.delete_version("team/x", 1)
    before = registry.namespaces().items
    del registry
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
        (path / name).unlink(missing_ok=True)
    rebuild_folder(path)
    assert FolderRegistry(path).namespaces().items == before
