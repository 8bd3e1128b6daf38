"""What a key may do: scopes, and what is needed. Knows no key and no rpc."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from parfocal.rpc.access.errors import ScopeInvalid
from parfocal.v1.access import Verb

BASE = "base"
_DEFAULT_NAMESPACE = "default"
_GRANTED = (Verb.GENERATE, Verb.READ, Verb.PUBLISH, Verb.PROMOTE, Verb.ADMIN)
_PATTERN = re.compile(r"[a-z0-9*][a-z0-9._*-]{0,62}/[a-z0-9*][a-z0-9._*-]{0,62}")
_RULE = (
    f"write one of {', '.join(_GRANTED)}, for all adapters or, as in generate:team/*, for those whose name "
    f"fits; generate:{BASE} is the base alone"
)


@dataclass(frozen=True, slots=True)
class Need:
    """What a request needs: to do `verb` with an adapter.

    `adapter` is a reference or a name as callers write it, empty for the base, None where there is no adapter
    to speak of.
    """

    verb: Verb
    adapter: str | None = None

    def __str__(self) -> str:
        """A narrow scope that is enough."""
        verb = Verb.READ if self.verb is Verb.SEE else self.verb
        return str(verb) if self.adapter is None else f"{verb}:{canonical(self.adapter) or BASE}"


@dataclass(frozen=True)
class Scope:
    """One thing that a key may do, `verb` or `verb:PATTERN`.

    A pattern is `namespace/name`, in which `*` stands for any characters but a slash; None stands for
    everything: all adapters and, for `generate`, the base.

    >>> Scope.parse("generate:team/*").allows(Need(Verb.GENERATE, "team/invoices@prod"))
    True
    >>> Scope.parse("generate:team/*").allows(Need(Verb.GENERATE, "other/invoices"))
    False
    >>> Scope.parse("generate:base").allows(Need(Verb.GENERATE, ""))
    True
    >>> Scope.parse("admin:team/*").allows(Need(Verb.PUBLISH, "team/invoices"))
    True
    """

    verb: Verb
    pattern: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """The scope that `text` spells; raises ScopeInvalid."""
        word, colon, pattern = text.partition(":")
        if word not in list(_GRANTED):
            raise ScopeInvalid(f"{text[:80]!a} is no scope; {_RULE}")
        verb = Verb(word)
        if not colon or pattern == "*":
            return cls(verb)
        if pattern == BASE:
            if verb is not Verb.GENERATE:
                raise ScopeInvalid(
                    f"{text!a} is no scope: an adapter of this name is default/{BASE}; {_RULE}"
                )
            return cls(verb, pattern)
        if "/" not in pattern:
            pattern = f"{_DEFAULT_NAMESPACE}/{pattern}"
        if not _PATTERN.fullmatch(pattern):
            raise ScopeInvalid(f"{text[:80]!a} is no scope: {pattern[:80]!a} fits no adapter's name; {_RULE}")
        return cls(verb, pattern)

    def __str__(self) -> str:
        return str(self.verb) if self.pattern is None else f"{self.verb}:{self.pattern}"

    def allows(self, need: Need) -> bool:
        """Whether this scope alone is enough."""
        if need.verb is Verb.ANY:
            return True
        if self.verb not in (need.verb, Verb.ADMIN) and need.verb is not Verb.SEE:
            return False
        return self._covers(need.adapter)

    def _covers(self, adapter: str | None) -> bool:
        if self.pattern is None:
            return True
        if not adapter:
            return adapter == "" and self.pattern == BASE
        return self.pattern != BASE and self._fits.fullmatch(canonical(adapter)) is not None

    @cached_property
    def _fits(self) -> re.Pattern[str]:
        return re.compile("[^/]*".join(map(re.escape, str(self.pattern).split("*"))))


def canonical(adapter: str) -> str:
    """The `namespace/name` in a reference, cut to what any name has; empty for the base.

    Not checked: text that is no name fits the patterns of no key, or is refused by whoever reads it next.

    >>> canonical("invoices@3"), canonical("team/invoices")
    ('default/invoices', 'team/invoices')
    """
    name = adapter.partition("@")[0]
    return name if "/" in name or not adapter else f"{_DEFAULT_NAMESPACE}/{name}"


def parse_scopes(texts: Iterable[str]) -> tuple[Scope, ...]:
    """The scopes, each once, in their order; raises ScopeInvalid if one is none, or if there is none."""
    scopes = tuple(dict.fromkeys(Scope.parse(text) for text in texts))
    if not scopes:
        raise ScopeInvalid(f"a key without a scope may do nothing; {_RULE}")
    return scopes
