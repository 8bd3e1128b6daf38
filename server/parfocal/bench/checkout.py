"""Finds what only a checkout has, in `tests/bench` beside the sources: rivals to measure, and pictures."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from parfocal.bench.errors import CheckoutMissing
from parfocal.bench.others import BatchRival, ServerRival

if TYPE_CHECKING:
    from parfocal.bench.profiles import Profile
    from parfocal.bench.stand import Bench

_ROOT = Path(__file__).resolve().parents[3]
_MODULE = "bench.additions"


class Additions(Protocol):
    """What `tests/bench/additions.py` adds to the command."""

    def endpoints(
        self, urls: Sequence[str], models: Sequence[str], base_models: Sequence[str], lora_ids: Sequence[str]
    ) -> tuple[ServerRival, ...]:
        """The servers that `--endpoint` and its companions name. Raises BadWorkload."""

    def peft(self) -> BatchRival:
        """PEFT's mixed batch."""

    def draw(self, found: "Bench | Profile", path: Path) -> None:
        """Writes a picture of what was found, as a PNG."""


def additions(root: Path = _ROOT) -> Additions | None:
    """What the checkout at `root` adds; None where the package is installed without one."""
    tests = root / "tests"
    if not (tests / "bench" / "additions.py").is_file():
        return None
    # First, so that no other package of this name is found; only during the import.
    sys.path.insert(0, str(tests))
    try:
        return cast(Additions, importlib.import_module(_MODULE))
    finally:
        sys.path.remove(str(tests))


def additions_for(what: str, root: Path = _ROOT) -> Additions:
    """What the checkout adds, for `what` a user asked for. Raises CheckoutMissing."""
    found = additions(root)
    if found is None:
        raise CheckoutMissing(
            f"{what} needs tests/bench, which is not part of the installed package; clone Parfocal's "
            "repository, run make install there, and use its .venv/bin/parfocal"
        )
    return found
