"""What this folder adds to `parfocal bench` when it runs from a checkout; see `parfocal.bench.checkout`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.rivals import PeftRival, endpoints_in
from parfocal.bench.others import BatchRival, ServerRival

if TYPE_CHECKING:
    from parfocal.bench.profiles import Profile
    from parfocal.bench.stand import Bench


def endpoints(
    urls: Sequence[str], models: Sequence[str], base_models: Sequence[str], lora_ids: Sequence[str]
) -> tuple[ServerRival, ...]:
    """Returns the servers of `[name=]URL`; the other values are `[name=]value`. Raises BadWorkload."""
    return endpoints_in(urls, models, base_models, lora_ids)


def peft() -> BatchRival:
    """Returns PEFT's mixed batch."""
    return PeftRival()


def draw(found: "Bench | Profile", path: Path) -> None:
    """Writes a picture of what was found, as a PNG."""
    from bench.pictures import draw_found  # matplotlib takes a second to import

    draw_found(found, path)
