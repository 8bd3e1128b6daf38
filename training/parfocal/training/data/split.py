"""Which rows are held out: decided by the prompts alone, so the same data always splits the same way."""

import hashlib
import math
from collections.abc import Sequence

from parfocal.training.data.rows import Row

MAX_HELD_OUT = 200


def split(rows: Sequence[Row], fraction: float) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Returns (training rows, held-out rows), each in file order.

    Prompts are ranked by the sha256 of their normalised text and the first are held out until `fraction`
    of the rows (at most MAX_HELD_OUT) is reached. Rows that share a prompt stay together, so nothing
    leaks; neither the seed nor the order of the file matters, and adding rows moves few others. Where one
    prompt has more than a fifth of all rows it stays in training, so nothing may be left to hold out.
    """
    wanted = min(MAX_HELD_OUT, math.ceil(len(rows) * fraction))
    most = max(wanted, len(rows) // 5)
    by_prompt: dict[bytes, list[Row]] = {}
    for row in rows:
        by_prompt.setdefault(hashlib.sha256(row.prompt_key()).digest(), []).append(row)
    held: set[tuple[str, int]] = set()
    for _, group in sorted(by_prompt.items()):
        if len(held) >= wanted:
            break
        if len(held) + len(group) <= most:
            held.update((row.source, row.line) for row in group)
    train = tuple(row for row in rows if (row.source, row.line) not in held)
    return train, tuple(row for row in rows if (row.source, row.line) in held)


def rows_digest(rows: Sequence[Row]) -> str:
    """Returns a sha256 over what `rows` teach, whatever their order, spelling in JSON or line numbers."""
    digest = hashlib.sha256()
    for key in sorted(row.content_key() for row in rows):
        digest.update(len(key).to_bytes(8, "big") + key)
    return f"sha256:{digest.hexdigest()}"
