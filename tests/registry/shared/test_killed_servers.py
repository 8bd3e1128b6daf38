"""Two servers on one PostgreSQL and one bucket: both are killed, and PostgreSQL too, while others publish."""

import json
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.registry_stand.judge import lost_moves, lost_publications, wrong_moves, wrongly_refused
from fakes.registry.postgres_server import PostgresServer
from fakes.registry.publisher import numbered_adapter, small_publication
from fakes.registry.registry_server import ServerAside
from fakes.registry.shared_writer import ALIAS, NAME, write_once
from parfocal.registry import Publication, RegistryError, SharedRegistry, StorageAddress
from parfocal.registry.remote import RemoteRegistry
from parfocal.rpc import RemoteError

WRITERS, EACH, PAUSE_S = 2, 4, 0.05


class Acknowledged:
    """What writers were told, and who waits until it is so much."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self._more = threading.Condition()

    def tell(self, **told: object) -> None:
        with self._more:
            self.told.append(told)
            self._more.notify_all()

    def wait_for(self, publications: int) -> None:
        with self._more:
            assert self._more.wait_for(lambda: self.publications() >= publications, timeout=120)

    def publications(self) -> int:
        return sum("published" in each for each in self.told)


def write(
    number: int, ports: list[str], folder: Path, publication: Publication, acknowledged: Acknowledged
) -> None:
    """Publishes and promotes `EACH` adapters, by whichever server answers."""
    servers = [RemoteRegistry(f"grpc://{port}", cache=folder / "cache", return_s=0.5) for port in ports]
    for adapter in [numbered_adapter(folder, EACH * number + each) for each in range(EACH)]:
        while True:
            servers.reverse()
            try:
                write_once(servers[0], adapter, publication, acknowledged.tell)
                break
            except (RemoteError, RegistryError) as error:
                acknowledged.tell(refused=error.reason, status=error.status)
                time.sleep(PAUSE_S)


def test_nothing_acknowledged_is_lost_whoever_is_killed(
    postgres: PostgresServer, shared_address: StorageAddress, tmp_path: Path
) -> None:
    registry = SharedRegistry(shared_address, cache=tmp_path / "judge")
    publication, acknowledged = small_publication(tmp_path), Acknowledged()
    write_once(registry, numbered_adapter(tmp_path, 0), publication, acknowledged.tell)
    location = f"{shared_address.index}&blobs={quote(shared_address.blobs, safe='')}"
    with (
        ServerAside.begun(location, tmp_path / "one") as one,
        ServerAside.begun(location, tmp_path / "two") as two,
    ):
        ports = [one.address, two.address]
        threads = [
            threading.Thread(
                target=write,
                args=(number, ports, tmp_path / f"writer-{number}", publication, acknowledged),
                daemon=True,
            )
            for number in range(1, 1 + WRITERS)
        ]
        for thread in threads:
            thread.start()
        acknowledged.wait_for(3)
        one.process.kill()
        postgres.stop("immediate")
        postgres.start()
        acknowledged.wait_for(5)
        with ServerAside.begun(location, tmp_path / "one-again", one.address):
            two.process.kill()
            for thread in threads:
                thread.join(180)
            assert not any(thread.is_alive() for thread in threads), json.dumps(acknowledged.told)

    moves = registry.alias_history(NAME, ALIAS)[::-1]
    assert lost_publications(registry, acknowledged.told) == []
    assert (wrong_moves(moves), lost_moves(moves, acknowledged.told)) == ([], [])
    assert wrongly_refused(acknowledged.told) == []
    assert registry.verify_history().faults == ()
    assert registry.verify().is_sound
    assert len({each["published"] for each in acknowledged.told if "published" in each}) == 1 + WRITERS * EACH
