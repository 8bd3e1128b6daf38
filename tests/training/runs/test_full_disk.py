"""A full disk is named with the way to go on, whichever library met it; anything else passes unchanged."""

import errno
from pathlib import Path

import pytest
from safetensors import SafetensorError

from parfocal.training import DiskFull
from parfocal.training.runs import full_disk_named


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "checkpoint-3/rng_state.pth"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError(
            "[enforce fail at inline_container.cc:820] . PytorchStreamWriter failed writing file data/4"
        ),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 45888 vs 45776"),
    ],
)
def test_a_full_disk_says_how_to_go_on(error: Exception) -> None:
    with pytest.raises(DiskFull, match="parfocal train --resume --output run"), full_disk_named(Path("run")):
        raise error


@pytest.mark.parametrize(
    "error", [RuntimeError("shape mismatch"), FileNotFoundError(2, "absent"), KeyError("x")]
)
def test_another_failure_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, full_disk_named(Path("run")):
        raise error
    assert caught.value is error
