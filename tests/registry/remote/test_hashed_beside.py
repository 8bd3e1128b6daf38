"""What is sent to a registry is hashed while it is checked, and a refusal waits for neither."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from parfocal.registry import FolderRegistry, Publication
from parfocal.registry.errors import AdapterRefused
from parfocal.registry.remote import RemoteRegistry
from parfocal.registry.remote.upload import weights_hashed
from parfocal.registry.values import WEIGHTS_FILE, digest_of

Write = Callable[..., Path]


def test_the_weights_are_what_the_file_holds(adapter: Write) -> None:
    folder = adapter()
    data = (folder / WEIGHTS_FILE).read_bytes()
    with weights_hashed(folder) as weights:
        source = weights()
    assert (source.path, source.size, source.digest) == (WEIGHTS_FILE, len(data), digest_of(data))
    with source.open() as file:
        assert file.read() == data


def test_weights_that_are_not_there_are_refused_when_they_are_asked_for(tmp_path: Path) -> None:
    with weights_hashed(tmp_path) as weights, pytest.raises(AdapterRefused, match=WEIGHTS_FILE):
        weights()


def test_a_pipe_in_place_of_the_weights_is_refused_and_not_waited_for(
    remote: RemoteRegistry, registry: FolderRegistry, adapter: Write, publication: Publication
) -> None:
    folder = adapter()
    (folder / WEIGHTS_FILE).unlink()
    os.mkfifo(folder / WEIGHTS_FILE)
    with pytest.raises(AdapterRefused, match="is not a regular file"):
        remote.publish("x", folder, publication)
    assert registry.adapters().items == ()
