"""The process in which templates run, started by `TemplateProcess`.

Arguments: how many bytes of memory it may take beyond what it has at its start, and how many characters a
template may write.
"""

import sys
from functools import partial
from typing import Any

from parfocal.engine.chats.templates import TemplateCall, run_template
from parfocal.engine.errors import ChatRefused
from parfocal.engine.isolation import answer_lines

_WARM_UP = TemplateCall("{{ messages[0].content }}", [{"role": "user", "content": ""}])


def main(memory_bytes: int, characters: int) -> None:
    """Runs templates until the input ends."""
    run_template(_WARM_UP)
    answer_lines(partial(_answer, characters=characters), memory_bytes)


def _answer(fields: dict[str, Any], characters: int) -> dict[str, object]:
    try:
        written = run_template(TemplateCall(**fields))
    except ChatRefused as refusal:
        return {"refusal": str(refusal)}
    size = len(written.text)
    if size > characters:
        return {"refusal": f"the chat template writes {size} characters; the limit is {characters}"}
    return {"text": written.text, "answers": written.answers}


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
