"""Several registries on one PostgreSQL and one bucket, as processes have them, and one quota."""

import threading
from collections.abc import Callable
from pathlib import Path

from parfocal.registry import Publication, Quotas, SharedRegistry, StorageAddress
from parfocal.registry.errors import QuotaExceeded


def test_publishers_of_several_registries_do_not_get_past_a_quota_together(
    shared_address: StorageAddress, adapter: Callable[..., Path], publication: Publication, tmp_path: Path
) -> None:
    registries = [SharedRegistry(shared_address, cache=tmp_path / f"cache-{place}") for place in range(3)]
    folders = [adapter(fill=fill) for fill in range(9)]
    size = sum(path.stat().st_size for path in folders[0].iterdir())
    # Room for four of them by bytes: each has a configuration, which all share, and weights of its own.
    for registry in registries:
        registry.limit_to(Quotas.parse(f"team={4 * size}"))
    published, refused = list[int](), list[QuotaExceeded]()

    def one(number: int) -> None:
        try:
            registries[number % 3].publish(f"team/n{number}", folders[number], publication)
        except QuotaExceeded as error:
            refused.append(error)
        else:
            published.append(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (held,) = registries[0].namespaces().items
    assert held.versions == len(published) == 9 - len(refused)
    assert held.size_bytes <= 4 * size
    assert 4 <= len(published) < 9
    assert {error.metadata["quota"] for error in refused} == {"bytes"}
