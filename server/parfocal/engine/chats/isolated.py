"""The process in which templates run, started by `TemplateProcess`: one line of JSON in, one line out.

Arguments: how many bytes of memory it may take beyond what it has at its start, and how many characters a
template may write.
"""

import json
import resource
import sys
from pathlib import Path

from parfocal.engine.chats.templates import TemplateCall, run_template
from parfocal.engine.errors import ChatRefused

_WARM_UP = TemplateCall("{{ messages[0].content }}", [{"role": "user", "content": ""}])


def main(memory_bytes: int, characters: int) -> None:
    """Answers until the input ends; an empty object announces that it is ready."""
    run_template(_WARM_UP)
    _bound_memory(memory_bytes)
    print("{}", flush=True)
    for line in sys.stdin.buffer:
        print(json.dumps(_answer(json.loads(line), characters)), flush=True)


def _answer(fields: dict[str, object], characters: int) -> dict[str, object]:
    try:
        written = run_template(TemplateCall(**fields))  # type: ignore[arg-type]  # as the other side sent it
    except ChatRefused as refusal:
        return {"refusal": str(refusal)}
    size = len(written.text)
    if size > characters:
        return {"refusal": f"the chat template writes {size} characters; the limit is {characters}"}
    return {"text": written.text, "answers": written.answers}


def _bound_memory(extra_bytes: int) -> None:
    """Limits the address space, where the system reports its current size (not on macOS)."""
    sizes = Path("/proc/self/statm")
    if sizes.is_file():
        now = int(sizes.read_text("ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + extra_bytes, now + extra_bytes))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
