"""Reads the short notations of the bench's flags: ranks, ranges, lists. Knows no workload."""

import re

from parfocal.bench.errors import BadWorkload

# No bench could run with longer numbers.
_COUNTED = re.compile(r"([0-9]{1,6})(?:x([0-9]{1,6}))?")
_RANGE = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")


def ranks_in(text: str) -> tuple[int, ...]:
    """The ranks of a list such as 8x15,128. Raises BadWorkload.

    >>> ranks_in("8x2,128")
    (8, 8, 128)
    """
    ranks: list[int] = []
    for part in text.split(","):
        found = _COUNTED.fullmatch(part.strip())
        if found is None:
            raise BadWorkload(
                f"ranks is {text!r}, where {part!r} is no rank; write ranks or rankxcount with commas "
                "between, such as 8x15,128",
                field="ranks",
            )
        ranks += [int(found[1])] * int(found[2] or 1)
    if not ranks:
        raise BadWorkload(f"ranks is {text!r}, which names no rank; write 8x15,128", field="ranks")
    return tuple(ranks)


def lengths_in(text: str) -> tuple[int, int]:
    """The shortest and longest length of a number or a range. Raises BadWorkload.

    >>> lengths_in("64-256"), lengths_in("128")
    ((64, 256), (128, 128))
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        raise BadWorkload(
            f"prompt_tokens is {text!r}; write a number of tokens, such as 128, or a range, such as 64-256",
            field="prompt_tokens",
        )
    return int(found[1]), int(found[2] or found[1])


def rate_in(text: str) -> tuple[float | None, float | None]:
    """A rate in requests per second, or a share of saturation; the other one is None.

    >>> rate_in("2.5"), rate_in("50%")
    ((2.5, None), (None, 0.5))
    """
    number = text.strip().removesuffix("%")
    try:
        value = float(number)
    except ValueError as error:
        raise BadWorkload(
            f"rate is {text!r}; write requests per second, such as 2.5, or a share of what the server "
            "manages, such as 50%",
            field="rate",
        ) from error
    return (None, value / 100) if number != text.strip() else (value, None)


def sweep_in(text: str) -> tuple[int, ...]:
    """The numbers of adapters of adapters=1,2,4. Raises BadWorkload.

    >>> sweep_in("adapters=1,2,4")
    (1, 2, 4)
    """
    name, _, values = text.partition("=")
    if name.strip() != "adapters" or not values:
        raise BadWorkload(
            f"sweep is {text!r}; what can be swept is the adapters: adapters=1,2,4,8", field="sweep"
        )
    return tuple(sorted(set(numbers_in(values, "sweep"))))


def numbers_in(text: str, field: str) -> tuple[int, ...]:
    """The numbers of a list whose parts are numbers or ranges. Raises BadWorkload, naming `field`.

    >>> numbers_in("0-2,7", "lora_ids")
    (0, 1, 2, 7)
    """
    numbers: list[int] = []
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip())
        if found is None:
            raise BadWorkload(
                f"{field} is {text!r}, where {part!r} is no number; write 0,1,2 or 0-15", field=field
            )
        first, last = int(found[1]), int(found[2] or found[1])
        if first > last:
            raise BadWorkload(
                f"{field} is {text!r}, where {part!r} runs backwards; write {last}-{first}", field=field
            )
        numbers += range(first, last + 1)
    return tuple(numbers)
