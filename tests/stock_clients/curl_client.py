"""curl, as the guides print it: python curl_client.py http://127.0.0.1:8000.

Runs every command of README.md and server/README.md that asks OpenAI's face, and looks at each reply.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from guides.guide import blocks

ROOT = Path(__file__).resolve().parents[2]
PRINTED = "http://127.0.0.1:8000"
LIMIT_S = 120


def commands(guide: Path) -> Iterator[str]:
    """The guide's curl commands that ask OpenAI's face, each as it is printed."""
    for block in blocks(guide):
        lines = iter(block.text.splitlines())
        for line in lines:
            command = line
            while command.startswith("curl ") and not _is_whole(command):
                command += "\n" + next(lines)
            if command.startswith("curl ") and PRINTED in command:
                yield command


def _is_whole(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return False
    return not command.endswith("\\")


def check(url: str) -> int:
    """Runs them all; returns how many. Raises where a reply is none."""
    found = [each for name in ("README.md", "server/README.md") for each in commands(ROOT / name)]
    for command in found:
        asked = ["bash", "-c", command.replace(PRINTED, url)]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert done.returncode == 0, (command, done)
        if '"stream": true' in command:
            assert done.stdout.rstrip().endswith("data: [DONE]"), (command, done)
        else:
            reply: dict[str, Any] = json.loads(done.stdout)
            assert reply.get("choices") or reply.get("data"), (command, reply)
    return len(found)


if __name__ == "__main__":
    count = check(sys.argv[1])
    assert count >= 8, f"only {count} commands were found"
    print(f"curl: all {count} commands of the guides were answered")
