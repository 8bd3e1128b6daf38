"""A server whose engine is faked, and a client of it."""

from collections.abc import Iterator

import pytest

from fakes.served_aside import served_aside
from fakes.serving import Served
from parfocal.client import Client, Retries
from parfocal.engine import AdapterKey

KEY = AdapterKey("sha256:" + "1" * 64, "team/invoices", 3)


@pytest.fixture
def served() -> Iterator[Served]:
    """A server that knows team/invoices@prod."""
    with served_aside() as found:
        found.resolver.adapters["team/invoices@prod"] = KEY
        yield found


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    """A client of that server, which calls once."""
    with Client(f"127.0.0.1:{served.wire.port}", retries=Retries(attempts=1)) as found:
        yield found
