"""The inside of an isolated process: one line of JSON in, one line out."""

import json
import resource
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def answer_lines(answer: Callable[[dict[str, Any]], Mapping[str, object]], memory_bytes: int) -> None:
    """Answers until the input ends; an empty object announces that it is ready.

    The process may take `memory_bytes` beyond what it has now. Call it when everything is imported.
    """
    _bound_memory(memory_bytes)
    print("{}", flush=True)
    for line in sys.stdin.buffer:
        print(json.dumps(answer(json.loads(line))), flush=True)


def _bound_memory(extra_bytes: int) -> None:
    """Limits the address space, where the system reports its current size (not on macOS)."""
    sizes = Path("/proc/self/statm")
    if sizes.is_file():
        now = int(sizes.read_text("ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + extra_bytes, now + extra_bytes))
