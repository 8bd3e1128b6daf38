"""What quotas promise over every index and store of blobs."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from parfocal.registry import NamespaceUse, Publication, Quota, Quotas, StoredRegistry, Version
from parfocal.registry.errors import InvalidPage, QuotaExceeded

Write = Callable[..., Path]


@pytest.fixture
def publish(any_storage: StoredRegistry, adapter: Write, publication: Publication) -> Callable[..., Version]:
    """Returns a function that publishes an adapter whose content depends on a number."""
    folders: dict[int, Path] = {}

    def one(name: str, fill: int) -> Version:
        folder = folders.setdefault(fill, adapter(fill=fill))
        return any_storage.publish(name, folder, publication)

    return one


def size_of(version: Version) -> int:
    return sum({file.digest: file.size for file in version.manifest.files}.values())


def uses(registry: StoredRegistry) -> dict[str, NamespaceUse]:
    return {each.namespace: each for each in registry.namespaces().items}


def test_a_namespace_holds_no_more_versions_than_it_may(
    any_storage: StoredRegistry, publish: Callable[..., Version]
) -> None:
    any_storage.limit_to(Quotas.parse("team=/2"))
    publish("team/a", 1)
    publish("team/b", 2)
    with pytest.raises(
        QuotaExceeded, match="namespace 'team' has 2 versions, and may have 2: delete"
    ) as refused:
        publish("team/c", 3)
    told = refused.value.metadata
    assert (told["namespace"], told["quota"], told["limit"], told["used"]) == ("team", "versions", "2", "2")
    assert publish("lab/c", 3).version == 1
    assert publish("team/a", 1).version == 1, "what is there already takes no room"
    any_storage.delete_version("team/b", 1)
    assert publish("team/c", 3).version == 1


def test_a_namespace_holds_no_more_bytes_than_it_may(
    any_storage: StoredRegistry, publish: Callable[..., Version]
) -> None:
    first = publish("team/a", 1)
    size = size_of(first)
    any_storage.limit_to(Quotas(Quota(max_bytes=size + 1)))
    with pytest.raises(
        QuotaExceeded, match=f"holds {size} bytes, may hold {size + 1}, and this version adds"
    ):
        publish("team/a", 2)
    any_storage.limit_to(Quotas(Quota(max_bytes=2 * size)))
    second = publish("team/a", 2)
    assert uses(any_storage)["team"].size_bytes <= size + size_of(second)


def test_equal_files_count_once_in_a_namespace_and_once_in_each(
    any_storage: StoredRegistry, publish: Callable[..., Version]
) -> None:
    size = size_of(publish("team/a", 1))
    any_storage.limit_to(Quotas(Quota(max_bytes=size)))
    publish("team/b", 1)
    publish("lab/a", 1)
    assert uses(any_storage) == {
        "lab": NamespaceUse("lab", 1, 1, size, Quota(max_bytes=size)),
        "team": NamespaceUse("team", 2, 2, size, Quota(max_bytes=size)),
    }
    any_storage.delete_version("team/a", 1)
    assert uses(any_storage)["team"].size_bytes == size
    any_storage.delete_adapter("team/b", force=True)
    any_storage.delete_adapter("team/a", force=True)
    assert "team" not in uses(any_storage)


def test_many_publishers_at_once_do_not_get_past_a_quota(
    any_storage: StoredRegistry, adapter: Write, publication: Publication
) -> None:
    any_storage.limit_to(Quotas.parse("*=/3"))
    folders = [adapter(fill=fill) for fill in range(8)]
    refused: list[QuotaExceeded] = []

    def one(number: int) -> None:
        try:
            any_storage.publish(f"team/n{number}", folders[number], publication)
        except QuotaExceeded as error:
            refused.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), uses(any_storage)["team"].versions) == (5, 3)


def test_files_that_would_be_refused_are_refused_before_they_are_sent(
    any_storage: StoredRegistry, publish: Callable[..., Version]
) -> None:
    first, other = publish("team/a", 1), publish("lab/a", 2)
    any_storage.limit_to(Quotas.parse("team=/1"))
    with pytest.raises(QuotaExceeded):
        any_storage.check_quota("team/b", other.manifest.files)
    any_storage.check_quota("team/b", first.manifest.files)
    any_storage.check_quota("lab/b", first.manifest.files)


def test_namespaces_are_listed_page_by_page(
    any_storage: StoredRegistry, publish: Callable[..., Version]
) -> None:
    for name in ("b/x", "a-b/x", "a/x", "a/y", "plain"):
        publish(name, 1)
    found, token = [], ""
    while True:
        page = any_storage.namespaces(2, token)
        found += [(each.namespace, each.adapters) for each in page.items]
        token = page.next_page_token
        if not token:
            break
    assert found == [("default", 1), ("a-b", 1), ("a", 2), ("b", 1)]
    with pytest.raises(InvalidPage):
        any_storage.namespaces(0, "no token of ours")
