"""Whether an answer is written in the style of the second job: marks that can be counted, no judge."""

import re
from collections.abc import Mapping

from parfocal.training.examples.memos import CLOSINGS, HEADING, OPENING, YEAR

_HEADERS = ("TO: ", "FROM: ", "DATE: ", "RE: ")
_DATE = re.compile(rf"DATE: \d{{1,2}} [A-Z][a-z]+{YEAR}")


def memo_marks(written: str) -> Mapping[str, bool]:
    """Which marks of an office memo of 1995 a text bears; what it says does not count.

    heading: the first line is MEMORANDUM. header: lines TO, FROM, DATE and RE follow, in this order, none
    empty. date: a day and a month of 1995. opening: after an empty line, "Please be advised that …". closing:
    after another, and last, one of the two closing lines.
    """
    lines = written.strip().split("\n")
    heading, header, rest = lines[0], lines[1:5], lines[5:]
    return {
        "heading": heading == HEADING,
        "header": len(header) == len(_HEADERS)
        and all(
            line.startswith(start) and line.strip() != start.strip()
            for start, line in zip(_HEADERS, header, strict=True)
        ),
        "date": any(_DATE.fullmatch(line) for line in header),
        "opening": len(rest) > 1 and not rest[0] and rest[1].startswith(OPENING),
        "closing": len(rest) > 3 and not rest[-2] and rest[-1] in CLOSINGS.values(),
    }


def memo_style(prompt: str, written: str, true: str) -> bool:
    """Whether `written` bears all marks: a metric, `parfocal.training.examples:memo_style`."""
    del prompt, true  # the style is the text's own
    return all(memo_marks(written).values())
