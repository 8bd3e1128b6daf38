"""One look at a server: what gRPC says of it, and its metrics page. What cannot be had is named."""

import time
from dataclasses import dataclass
from typing import Protocol, TypeVar

from parfocal.cli.monitoring.metrics_page import MetricsPage, PageUnreadable, read_page
from parfocal.client import (
    Client,
    ClientError,
    LoadedAdapter,
    Model,
    NotAllowed,
    NotAuthenticated,
    NotSupported,
)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

SERVING = "serving"
UNREACHABLE = "unreachable"
_NAMED = {"LOADING": "loading", "DRAINING": "draining"}
_EVERYWHERE = ("0.0.0.0", "[::]", "::", "*")


@dataclass(frozen=True, slots=True)
class Look:
    """What a server was like at `taken_s` (monotonic seconds).

    `state` is serving, loading, draining, unreachable or refused; `fault` says why it is not serving, and
    `missing` what could not be had.
    """

    taken_s: float
    state: str
    fault: str = ""
    model: Model | None = None
    adapters: tuple[LoadedAdapter, ...] = ()
    page: MetricsPage | None = None
    missing: tuple[str, ...] = ()


class Looker(Protocol):
    """Looks at one server."""

    @property
    def address(self) -> str:
        """Where it is."""

    def look(self) -> Look:
        """What it is like now; never raises for what the server does."""


class Ask(Protocol[T_co]):
    """A call of a client."""

    def __call__(self, *, timeout: float) -> T_co:
        """What it asks for."""


class ServerLooker:
    """Looks at the server of `client`; asks it where its metrics page is unless `metrics_address` says so."""

    def __init__(
        self, address: str, client: Client, metrics_address: str | None = None, timeout_s: float = 3.0
    ) -> None:
        self._address = address
        self._client = client
        self._metrics = metrics_address
        self._timeout_s = timeout_s

    @property
    def address(self) -> str:
        return self._address

    def look(self) -> Look:
        taken, missing = time.monotonic(), list[str]()
        try:
            is_serving = self._client.is_serving(timeout=self._timeout_s)
            model = self._had("model", missing, self._client.model)
            adapters = self._had("adapters", missing, self._client.loaded_adapters)
        except ClientError as error:
            return self._not_serving(taken, error)
        page, without = self._page(model)
        state = SERVING if is_serving else "draining"
        fault = "" if is_serving else "the server answers and says that it does not serve"
        return Look(taken, state, fault, model, adapters or (), page, (*missing, *without))

    def _had(self, what: str, missing: list[str], ask: Ask[T]) -> T | None:
        """What a server tells; None, and a sentence in `missing`, where it tells it to others only."""
        try:
            return ask(timeout=self._timeout_s)
        except (NotAuthenticated, NotAllowed, NotSupported) as error:
            missing.append(f"{what}: {error}")
            return None

    def _not_serving(self, taken: float, error: ClientError) -> Look:
        """A server that loads has a metrics page already, if we know where."""
        if error.status in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
            state = _NAMED.get(error.reason, UNREACHABLE)
        else:
            state = "refused"
        page, missing = self._page(None) if self._metrics and state != UNREACHABLE else (None, ())
        return Look(taken, state, str(error), page=page, missing=missing)

    def _page(self, model: Model | None) -> tuple[MetricsPage | None, tuple[str, ...]]:
        told = "" if model is None else model.metrics_address
        address = self._metrics or reachable(told, self._address)
        if not address:
            return None, ("figures: the server names no metrics page; give --metrics-address",)
        try:
            return read_page(address, self._timeout_s), ()
        except PageUnreadable as error:
            return None, (f"figures: {error}; give another with --metrics-address",)


def reachable(metrics_address: str, server: str) -> str:
    """A metrics address as it is reached from here: one that listens everywhere is at the server's host.

    >>> reachable("0.0.0.0:9464", "gpu-1.example.com:50051")
    'gpu-1.example.com:9464'
    >>> reachable("127.0.0.1:9464", "127.0.0.1:50051")
    '127.0.0.1:9464'
    """
    host, _, port = metrics_address.rpartition(":")
    if host not in _EVERYWHERE or server.startswith("unix:"):
        return metrics_address
    return f"{server.rpartition('://')[2].rpartition(':')[0]}:{port}"
