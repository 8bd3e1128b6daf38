"""Which route a path is. A repository's id has one segment or two, and a segment may hold escaped slashes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote

from parfocal.registry.faces.hub.errors import RouteUnknown

_SEGMENT = "[^/]+"
_PLACES = {"repo": f"{_SEGMENT}(?:/{_SEGMENT})?", "path": ".+"}
_PLACE = re.compile(r"\{(\w+)\}")


# What stands in the places of a route.
Values: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Match:
    """A route, `METHOD /path` with its places, and what stands in them."""

    route: str
    values: Values


class Routing:
    """Finds among `routes` the first that fits a request."""

    def __init__(self, routes: list[str]) -> None:
        # What names more is looked at first: `x/refs` is the refs of `x`, not a repository of that name.
        ordered = sorted(routes, key=lambda route: -len(_PLACE.sub("", route)))
        self._patterns = [(route, *_pattern(route)) for route in ordered]

    def match(self, method: str, path: str) -> Match:
        """The route that `path`, still escaped, is for `method`, where HEAD is GET; raises RouteUnknown."""
        wanted = "GET" if method == "HEAD" else method
        others = set[str]()
        for route, its_method, pattern in self._patterns:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            if its_method == wanted:
                values = {name: unquote(value, errors="replace") for name, value in found.groupdict().items()}
                return Match(route, values)
            others.add(its_method)
        shown = ascii(unquote(path)[:100])
        if others:
            raise RouteUnknown(f"{shown} takes {' or '.join(sorted(others))}, not {method[:20]!a}")
        raise RouteUnknown(f"a registry of adapters does not serve {method[:20]!a} {shown}")


def _pattern(route: str) -> tuple[str, re.Pattern[str]]:
    method, _, path = route.partition(" ")
    parts = _PLACE.split(path)  # texts and places in turn
    written = [
        f"(?P<{part}>{_PLACES.get(part, _SEGMENT)})" if place % 2 else re.escape(part)
        for place, part in enumerate(parts)
    ]
    return method, re.compile("".join(written))
