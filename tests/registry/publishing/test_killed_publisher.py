"""A publisher that is killed while large weights are on their way leaves a registry as it was."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from fakes.registry.large_adapter import large_adapter
from parfocal.registry import FolderRegistry

LAYERS, MOST_TRIES = 16, 20
PUBLISH = """
import sys
from pathlib import Path
from parfocal.registry import FolderRegistry, Publication, describe_base, locate_base
registry, adapter, base = map(Path, sys.argv[1:])
publication = Publication(describe_base(locate_base(str(base), weights=False)))
opened = FolderRegistry(registry)
print("begins", flush=True)
opened.publish("team/x", adapter, publication)
"""


def killed_on_its_way(registry: Path, adapter: Path, base: Path) -> bool:
    """Publishes in a process that is killed once weights are staged in part; False where it was faster."""
    command = [sys.executable, "-c", PUBLISH, *map(str, (registry, adapter, base))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        until = time.monotonic() + 60
        while not any(path.stat().st_size for path in staged(registry)) and time.monotonic() < until:
            if process.poll() is not None:
                return False
        os.kill(process.pid, signal.SIGKILL)
        return process.wait() == -signal.SIGKILL and bool(staged(registry))


def staged(registry: Path) -> list[Path]:
    return [path for path in (registry / "staging").glob("*/blob") if path.exists()]


def test_nothing_of_it_counts_and_what_it_left_is_swept(tmp_path: Path) -> None:
    adapter, publication = large_adapter(tmp_path, LAYERS)
    home, base = tmp_path / "registry", tmp_path / "large-base"
    registry = FolderRegistry(home)
    tries = 0
    while not killed_on_its_way(home, adapter, base):
        tries += 1
        assert tries < MOST_TRIES, "the publisher was never killed in time"
        if registry.adapters().items:  # it was faster: begin anew
            registry.delete_adapter("team/x")
            registry.collect_garbage(most=True)
    assert registry.adapters().items == ()
    assert registry.verify().is_sound
    assert registry.verify_history().is_sound
    registry.collect_garbage(most=True)
    assert staged(home) == []
    published = registry.publish("team/x", adapter, publication)
    assert registry.verify().is_sound
    assert [version.digest for version in registry.versions("team/x").items] == [published.digest]
