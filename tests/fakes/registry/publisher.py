"""A process that publishes until it is done or killed: `python -m fakes.registry.publisher`, orders on stdin.

An order is one line of JSON. Each is carried out in a fork: one start of Python serves many crashes.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from fakes.registry.peft_folders import Adapter, write_adapter, write_base
from parfocal.registry import (
    FolderRegistry,
    Publication,
    back_up,
    describe_base,
    locate_base,
    rebuild_folder,
)


@dataclass(frozen=True, slots=True)
class Order:
    """Publish `count` different adapters as `name`; or `rebuild`, `collect`, or `back up` into folder `name`.

    Dies at the audit event number `kill_at` (0: never), or after the last one when `dies`.
    """

    registry: str
    name: str
    first: int
    count: int
    kill_at: int = 0
    dies: bool = False
    deed: str = "publish"


class Publisher:
    """The test's end of such a process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        assert process.stdin is not None and process.stdout is not None
        self._orders: IO[str] = process.stdin
        self._answers: IO[str] = process.stdout

    def begin(self, order: Order) -> int:
        """Returns the number of a process that begins to publish now."""
        print(json.dumps(asdict(order)), file=self._orders, flush=True)
        return int(self._answers.readline())

    def end(self) -> tuple[int, list[int]]:
        """Waits for it and returns its status (negative: the signal) and the versions that it was told."""
        status, versions = json.loads(self._answers.readline())
        return int(status), versions


@contextmanager
def publisher() -> Iterator[Publisher]:
    """Gives a publisher that waits for orders."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "fakes.registry.publisher"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        yield Publisher(process)
        assert process.stdin is not None
        process.stdin.close()


def small_publication(folder: Path) -> Publication:
    """Returns a publication for a base that is written into `folder`."""
    return Publication(describe_base(locate_base(str(write_base(folder / "small-base")), weights=False)))


def numbered_adapter(folder: Path, number: int) -> Path:
    """Writes an adapter whose content is unlike that of every other number."""
    return write_adapter(folder / f"numbered-{number}", Adapter(config={"lora_alpha": number + 1}))


def main() -> None:
    """Carries out the orders on stdin, one after the other."""
    with tempfile.TemporaryDirectory() as scratch:
        publication = small_publication(Path(scratch))
    for line in sys.stdin:
        order = Order(**json.loads(line))
        answers, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(answers)
            _carry_out(order, publication, told)
            os._exit(0)
        os.close(told)
        print(child, flush=True)
        with os.fdopen(answers) as stream:
            versions = [int(version) for version in stream.read().split()]
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps([status, versions]), flush=True)


def _carry_out(order: Order, publication: Publication, told: int) -> None:
    path = Path(order.registry)
    # Beside the registry, for whoever is killed leaves it there.
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        numbers = range(order.first, order.first + order.count)
        folders: Iterable[Path] = (numbered_adapter(Path(scratch), number) for number in numbers)
        if order.kill_at:
            folders = list(folders)
            _die_at(order.kill_at)
        if order.deed == "rebuild":
            os.write(told, f"{rebuild_folder(path).rebuilt.versions} ".encode())
            return
        registry = FolderRegistry(path)
        if order.deed == "collect":
            os.write(told, f"{len(registry.collect_garbage(most=True).blobs)} ".encode())
        if order.deed == "back up":
            os.write(told, f"{back_up(registry, Path(order.name)).versions} ".encode())
        for folder in folders:
            version = registry.publish(order.name, folder, publication)
            os.write(told, f"{version.version} ".encode())
        if order.dies:
            os.kill(os.getpid(), signal.SIGKILL)


def _die_at(number: int) -> None:
    """Kills this process when it opens, makes, renames or removes something for the `number`th time."""
    left = number

    def count(event: str, arguments: object) -> None:
        nonlocal left
        if event.startswith(("open", "os.", "sqlite3.", "shutil.")):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


if __name__ == "__main__":
    main()
