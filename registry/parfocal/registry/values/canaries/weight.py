"""How much of an alias's traffic its canary gets, and which of it: the same answer on every machine."""

import hashlib

from parfocal.registry.errors import InvalidCanary

# Weights are hundredths of a percent.
WHOLE = 10_000


def check_weight(weight: int) -> int:
    """`weight`, if a canary can have it; raises InvalidCanary."""
    if not 1 <= weight < WHOLE:
        raise InvalidCanary(
            f"a canary of {weight_text(weight)} is no split: give 0.01 % to 99.99 %; to move the alias "
            "wholly, set it, and to give the canary nothing, abort it",
            field="weight",
        )
    return weight


def weight_text(weight: int) -> str:
    """A weight for people.

    >>> weight_text(1000), weight_text(25)
    ('10 %', '0.25 %')
    """
    return f"{weight / 100:g} %"


def bucket_of(name: str, alias: str, version: int, key: str) -> int:
    """The place of a key, 0 to 9999; a canary takes those below its weight.

    A sha256 over the alias, the canary's version and the key: no two servers differ, a canary that grows
    keeps the keys that it has, and the next one draws its keys anew, so nobody is always among the first.
    """
    text = f"{name}@{alias}/{version}\n{key}"
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8]) % WHOLE
