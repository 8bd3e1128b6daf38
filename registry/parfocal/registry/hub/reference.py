"""How people name a repository of the Hub: `org/name[@revision]`, also after `hf://`. Asks nobody."""

import re
from dataclasses import dataclass
from typing import Self

_SCHEME = "hf://"
_PART = r"[A-Za-z0-9][\w.-]*"
_REFERENCE = re.compile(rf"(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[\w./-]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class HubReference:
    """A repository, and a branch, tag or commit of it; None means its main branch.

    >>> HubReference.parse("hf://team/invoices@v2")
    HubReference(repo='team/invoices', revision='v2')
    >>> HubReference.parse("./team/invoices") is None
    True
    """

    repo: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The reference that a text spells; None where it spells none."""
        match = _REFERENCE.fullmatch(text.removeprefix(_SCHEME))
        if match is None or ".." in text:
            return None
        return cls(match["repo"], match["revision"])

    @staticmethod
    def is_explicit(text: str) -> bool:
        """Whether a text can mean nothing but the Hub."""
        return text.startswith(_SCHEME)

    def __str__(self) -> str:
        return f"{_SCHEME}{self.repo}@{self.revision}" if self.revision else f"{_SCHEME}{self.repo}"
