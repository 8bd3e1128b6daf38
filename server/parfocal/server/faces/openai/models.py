"""The list of models: the base, and every adapter and alias that a request may name."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from parfocal.registry import AdapterSummary, Page, Version
from parfocal.server.errors import BadRequest
from parfocal.server.faces.openai.replies import Json

# As many adapters as a page of the registry may have; each has a line for itself and for every alias.
_PAGE = 1000


class Adapters(Protocol):
    """The part of a registry that lists what may be named. Calls may block."""

    def adapters(self, page_size: int = 0, page_token: str = "") -> Page[AdapterSummary]:
        """A page of the adapters, by name."""

    def resolve(self, reference: str) -> Version:
        """The version that a reference means now."""


@dataclass(frozen=True, slots=True)
class ServedBase:
    """The resident base: what callers call it, and what they must know to write prompts for it."""

    id: str
    digest: str
    context_tokens: int
    vocabulary_size: int
    tokenizer: dict[str, str | None] = field(default_factory=dict)
    since: int = field(default_factory=lambda: int(time.time()))

    def is_named(self, model: str) -> bool:
        """Whether a request's model is the base."""
        return model in ("", self.id)

    def entry(self) -> Json:
        """Its line of the list."""
        return _entry(self.id, self.since, self.id, self.context_tokens)


def listed_models(
    base: ServedBase, adapters: Adapters, after: str, limit: int | None, shows_base: bool = True
) -> Json:
    """A page of the list, all of it where there is no limit. `after` is the last id of the page before.

    Has no base unless `shows_base`. Blocks. Raises BadRequest.
    """
    if limit is not None and limit < 1:
        raise BadRequest(f"limit is {limit}; ask for at least 1", field="limit")
    entries = _entries(base, adapters, shows_base)
    if after and not any(each["id"] == after for each in entries):
        raise BadRequest(
            f"after is {after[:100]!r}, which is no model of the list; begin anew", field="after"
        )
    # Only as many are read as are told, and one more.
    data = list(islice(entries, limit))
    return {"object": "list", "data": data, "has_more": next(entries, None) is not None}


def one_model(base: ServedBase, adapters: Adapters, model: str) -> Json:
    """One line; raises the registry's errors. Blocks."""
    if base.is_named(model):
        return base.entry()
    version = adapters.resolve(model)
    created = int(version.created_at.timestamp())
    entry = _entry(model, created, base.id, base.context_tokens)
    return {**entry, "version": version.version, "digest": version.digest}


def _entries(base: ServedBase, adapters: Adapters, shows_base: bool) -> Iterator[Json]:
    if shows_base:
        yield base.entry()
    token = ""
    while True:
        page = adapters.adapters(_PAGE, token)
        for each in page.items:
            updated = int(each.updated_at.timestamp())
            for name in (each.name, *(f"{each.name}@{alias}" for alias in sorted(each.aliases))):
                if each.latest_version or "@" in name:
                    yield _entry(name, updated, base.id, base.context_tokens)
        token = page.next_page_token
        if not token:
            return


def _entry(name: str, created: int, base: str, context_tokens: int) -> Json:
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": "parfocal" if name == base else name.partition("/")[0],
        "root": base,
        "parent": None if name == base else base,
        "max_model_len": context_tokens,
    }
