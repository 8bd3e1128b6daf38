"""Reads the flags that name other servers. Only this machine's own addresses are let through."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

from bench.rivals.endpoint import Endpoint
from parfocal.bench.errors import BadWorkload
from parfocal.bench.load.under_load import OWN_NAME
from parfocal.bench.workloads.notation import numbers_in

_NAMED_URL = re.compile(r"(?:([A-Za-z0-9._-]+)=)?(\w+://.+)")
_NAMED_VALUE = re.compile(r"([A-Za-z0-9._-]+)=(.*)")
_COMPLETIONS = "/v1/completions"


def endpoints_in(
    urls: Sequence[str], models: Sequence[str], base_models: Sequence[str], lora_ids: Sequence[str]
) -> tuple[Endpoint, ...]:
    """Returns the endpoints of `[name=]URL`; the other flags are `[name=]value`. Raises BadWorkload."""
    found = [_endpoint(text) for text in urls]
    names = [endpoint.name for endpoint in found]
    for name in names:
        if name == OWN_NAME:
            raise BadWorkload(f"an endpoint is called {name}, as we are; name it otherwise", field="endpoint")
        if names.count(name) > 1:
            raise BadWorkload(f"two endpoints are called {name}; name them: a=URL, b=URL", field="endpoint")
    model = _by_name(models, names, "endpoint_model")
    base = _by_name(base_models, names, "endpoint_base")
    ids = _by_name(lora_ids, names, "endpoint_lora_ids")
    return tuple(
        Endpoint(
            each.name,
            each.host,
            each.port,
            each.path,
            model.get(each.name, each.model),
            base.get(each.name),
            numbers_in(ids[each.name], "endpoint_lora_ids") if each.name in ids else (),
        )
        for each in found
    )


def _endpoint(text: str) -> Endpoint:
    found = _NAMED_URL.fullmatch(text)
    parts = _parts(found[2]) if found else None
    if found is None or parts is None or parts.scheme != "http" or not parts.hostname:
        raise BadWorkload(
            f"endpoint is {text!r}; write http://127.0.0.1:PORT or name=http://127.0.0.1:PORT",
            field="endpoint",
        )
    if not _is_loopback(parts.hostname):
        raise BadWorkload(
            f"endpoint is {text!r}, but {parts.hostname} is not this machine: a network would be measured "
            "too; run the server here and name 127.0.0.1, [::1] or localhost",
            field="endpoint",
        )
    try:
        port = parts.port or 80
    except ValueError as error:
        raise BadWorkload(
            f"endpoint is {text!r}, whose port is no port: {error}; write one up to 65535", field="endpoint"
        ) from error
    return Endpoint(found[1] or f"{parts.hostname}:{port}", parts.hostname, port, _path(parts.path))


def _parts(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:  # brackets that hold no IPv6 address
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _path(path: str) -> str:
    """Returns the path of completions, whether the URL ends at the server, at its version or at them."""
    bare = path.rstrip("/").removesuffix("/completions").removesuffix("/v1")
    return f"{bare}{_COMPLETIONS}"


def _by_name(values: Sequence[str], names: Sequence[str], field: str) -> Mapping[str, str]:
    """Returns each endpoint's value; one without a name is every endpoint's that has none of its own."""
    if values and not names:
        raise BadWorkload(f"{field} is {values[0]!r}, but there is no endpoint; add --endpoint", field=field)
    own: dict[str, str] = {}
    for_all: dict[str, str] = {}
    for value in values:
        found = _NAMED_VALUE.fullmatch(value)
        if found is None:
            for_all = dict.fromkeys(names, value)
        elif found[1] in names:
            own[found[1]] = found[2]
        else:
            raise BadWorkload(
                f"{field} is {value!r}, but no endpoint is called {found[1]!r}; there are {', '.join(names)}",
                field=field,
            )
    return for_all | own
