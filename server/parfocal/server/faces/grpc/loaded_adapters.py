"""Pages through the adapters that the engine holds. Knows no rpc."""

import base64
import binascii
from collections.abc import Sequence

from parfocal.engine import AdapterStatus
from parfocal.server.errors import BadRequest
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1.limits import PAGE_ITEMS, PAGE_TOKEN_CHARACTERS

DEFAULT_PAGE = 100

_STATES = {
    "fetching": pb.ADAPTER_STATE_FETCHING,
    "staged": pb.ADAPTER_STATE_STAGED,
    "loading": pb.ADAPTER_STATE_LOADING,
    "ready": pb.ADAPTER_STATE_READY,
}
_TIERS = {"device": pb.TIER_DEVICE, "host": pb.TIER_HOST}

_Key = tuple[str, int, str]


def loaded_page(
    statuses: Sequence[AdapterStatus], request: pb.ListLoadedAdaptersRequest
) -> pb.ListLoadedAdaptersResponse:
    """One page of `statuses`, sorted, without adapters that failed to load.

    A page begins after the last adapter of the previous page, so adapters that come and go shift nothing.
    Raises BadRequest.
    """
    if request.page_size < 0:
        raise BadRequest(f"page_size is {request.page_size}; it must not be negative", field="page_size")
    size = min(request.page_size or DEFAULT_PAGE, PAGE_ITEMS.most)
    after = _read_token(request.page_token)
    rest = sorted((s for s in statuses if s.state in _STATES and _key(s) > after), key=_key)
    token = _token(rest[size - 1]) if len(rest) > size else ""
    return pb.ListLoadedAdaptersResponse(
        adapters=[_message(status) for status in rest[:size]], next_page_token=token
    )


def _message(status: AdapterStatus) -> pb.LoadedAdapter:
    return pb.LoadedAdapter(
        name=status.adapter.name,
        version=status.adapter.version,
        digest=status.adapter.digest,
        state=_STATES[status.state],
        tier=_TIERS[status.tier],
        size_bytes=status.size_bytes,
        pins=status.pins,
        rank=status.rank,
        pinned=status.is_pinned,
    )


def _key(status: AdapterStatus) -> _Key:
    return status.adapter.name, status.adapter.version, status.adapter.digest


def _token(last: AdapterStatus) -> str:
    return base64.urlsafe_b64encode("\n".join(map(str, _key(last))).encode()).decode()


def _read_token(token: str) -> _Key:
    if not token:
        return "", 0, ""
    if len(token) > PAGE_TOKEN_CHARACTERS.most:
        raise BadRequest(
            f"page_token has {len(token)} characters and was not given by this server", field="page_token"
        )
    try:
        name, version, digest = base64.urlsafe_b64decode(token).decode().split("\n")
        return name, int(version), digest
    except (binascii.Error, ValueError) as error:
        raise BadRequest("page_token was not given by this server", field="page_token") from error
