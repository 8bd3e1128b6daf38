"""What a version's manifest and signatures are called beside its files. Values only.

The OpenSSF's `model_signing` looks for `model.sig` beside a model.
"""

from collections.abc import Iterable, Mapping, Sequence

from parfocal.registry.values import MAX_SIGNATURES

# The manifest of Parfocal as a file: with it, the files give the very same version again.
MANIFEST_FILE = "parfocal_manifest.json"


def signature_names(count: int = MAX_SIGNATURES) -> tuple[str, ...]:
    """The names of the first `count` signatures, in the order in which they were added.

    >>> signature_names(3)
    ('model.sig', 'model-2.sig', 'model-3.sig')
    """
    return ("model.sig", *(f"model-{number}.sig" for number in range(2, count + 1)))[:count]


def signature_files(bundles: Sequence[bytes]) -> Mapping[str, bytes]:
    """The bundles of a version as files."""
    return dict(zip(signature_names(len(bundles)), bundles, strict=True))


def is_packed_file(name: str) -> bool:
    """Whether a file of this name goes with the files of a version, and is none of them."""
    return name == MANIFEST_FILE or name in _SIGNATURES


def signatures_among(names: Iterable[str]) -> tuple[str, ...]:
    """Those that are names of signatures, in the order in which these were added."""
    found = set(names)
    return tuple(name for name in signature_names() if name in found)


_SIGNATURES = frozenset(signature_names())
