"""Publishes a large adapter, into a folder and through a service, beside a plain copy and a sha256 of it."""

import hashlib
import itertools
import multiprocessing
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from bench.registry_stand.processes import registry_served
from bench.registry_stand.report import Bar, Report
from fakes.registry.peft_folders import write_base
from parfocal.bench.made import write_adapter
from parfocal.bench.workloads import Shape
from parfocal.registry import FolderRegistry, Publication, describe_base, locate_base
from parfocal.registry.remote import RemoteRegistry

_WEIGHTS = "adapter_model.safetensors"
_PIECE = 1 << 20
_MOST_RATIO = 1.5
_RANK = 20
# An adapter of rank 20 on all linears of an 8 B Llama, in half precision, has 105 MB: 3.3 MB a layer.
_HIDDEN, _INTERMEDIATE, _HEADS, _KV_HEADS, _VOCABULARY = 4096, 14336, 32, 8, 128
LAYERS = 32
_processes = multiprocessing.get_context("fork")


def publishing(layers: int, rounds: int) -> Report:
    """Does each in turn, so many times, every time with other bytes and another one first."""
    with tempfile.TemporaryDirectory(prefix="parfocal-publishing-") as folder:
        home = Path(folder)
        shape = Shape(
            "large", _HIDDEN, _INTERMEDIATE, layers, _HEADS, _KV_HEADS, _VOCABULARY, 8192, tied=False
        )
        publication = _publication(home, shape)
        local = FolderRegistry(home / "local")
        (home / "copies").mkdir()
        receiver, port = _begun_receiver(home / "received")
        seconds: dict[str, list[float]] = {}
        with registry_served(str(home / "served"), home) as address:
            remote = RemoteRegistry(f"grpc://{address}", cache=home / "publisher")
            for number in range(-1, rounds):  # the first warms up
                adapter = write_adapter(shape, _RANK, home / f"adapter-{number}", number + 1)
                weights, copies = adapter / _WEIGHTS, home / "copies"
                ways: list[tuple[str, Callable[[], object]]] = [
                    ("copy", partial(_copied, weights, copies / f"{number}", synced=False)),
                    ("copy_synced", partial(_copied, weights, copies / f"{number}-synced", synced=True)),
                    ("sent", partial(_sent, weights, port)),
                    ("folder", partial(local.publish, "team/large", adapter, publication)),
                    ("service", partial(remote.publish, "team/large", adapter, publication)),
                ]
                for place in range(len(ways)):
                    way, act = ways[(number + place) % len(ways)]
                    taken = _timed(act, home / "scratch", weights.stat().st_size)
                    if number >= 0:
                        seconds.setdefault(way, []).append(taken)
        receiver.kill()
        receiver.join(60)
        return _report(seconds, weights.stat().st_size, rounds)


def _timed(act: Callable[[], object], scratch: Path, size: int) -> float:
    """The seconds that it takes, with an idle disk, and room in memory that was in use a moment ago.

    A virtual machine has to ask its host for other memory, which takes longer than all that is timed.
    """
    with scratch.open("wb") as file:
        for _ in range(2 * size // _PIECE):
            file.write(bytes(_PIECE))
    scratch.unlink()
    os.sync()  # whoever waits for the disk waits for what others wrote
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def _report(seconds: dict[str, list[float]], size: int, rounds: int) -> Report:
    megabytes = size / 1e6
    workload = (
        f"an adapter of rank {_RANK} on all linears of a Llama as wide as one of 8 B, {megabytes:.0f} MB in "
        f"half precision, other bytes in each of {rounds} rounds; copied and hashed, the same and synced, "
        "sent to a process that writes and hashes it, published into a folder, and published through "
        "parfocal registry serve on the loopback: each in turn, another first in every round, all that is "
        "written kept to the end, and memory for it freed just before; ratios are medians of those within "
        "a round"
    )
    times = {way: round(median(found), 3) for way, found in seconds.items()}
    ratios = {
        way: median(ours / theirs for ours, theirs in zip(seconds[way], seconds[limit], strict=True))
        for way, limit in (("folder", "copy"), ("service", "sent"))
    }
    synced = median(o / t for o, t in zip(seconds["folder"], seconds["copy_synced"], strict=True))
    plain = median(o / t for o, t in zip(seconds["service"], seconds["copy"], strict=True))
    bars = [
        Bar(
            f"a publication into a folder takes at most {_MOST_RATIO} of a plain copy and a sha256",
            f"{ratios['folder']:.2f}: {times['folder']} s of {times['copy']} s",
            ratios["folder"] <= _MOST_RATIO,
        ),
        Bar(
            f"one through the service takes at most {_MOST_RATIO} of a sha256 and a sent, hashed copy",
            f"{ratios['service']:.2f}: {times['service']} s of {times['sent']} s",
            ratios["service"] <= _MOST_RATIO,
        ),
    ]
    figures = {
        "megabytes": round(megabytes, 1),
        "folder_s": times["folder"],
        "service_s": times["service"],
        "folder_over_a_copy_on_the_disk": round(synced, 2),
        "service_over_a_plain_copy": round(plain, 2),
        "every_round_s": {way: [round(each, 3) for each in found] for way, found in seconds.items()},
        "cores": os.cpu_count(),
    }
    limits = {
        "copied_and_hashed_s": times["copy"],
        "copied_hashed_and_synced_s": times["copy_synced"],
        "hashed_sent_received_written_and_hashed_s": times["sent"],
    }
    return Report("A large adapter is published", workload, figures, limits, bars)


def _publication(home: Path, shape: Shape) -> Publication:
    sizes = {
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
    }
    base = write_base(home / shape.name, **sizes)
    return Publication(describe_base(locate_base(str(base), weights=False)))


def _copied(source: Path, target: Path, synced: bool) -> str:
    """Copies and hashes as anybody would, one after the other."""
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if synced:
            os.fsync(file.fileno())
    return digest


def _sent(source: Path, port: int) -> str:
    """Hashes a file and sends it over the loopback, where another process writes and hashes it."""
    with source.open("rb") as file, socket.create_connection(("127.0.0.1", port)) as line:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        line.sendfile(file)
        line.shutdown(socket.SHUT_WR)
        assert line.recv(64).decode() == digest
    return digest


def _begun_receiver(folder: Path) -> "tuple[multiprocessing.process.BaseProcess, int]":
    here, there = _processes.Pipe()
    process = _processes.Process(target=_receive, args=(folder, there), daemon=True)
    process.start()
    return process, int(here.recv())


def _receive(folder: Path, told: Connection) -> None:
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        told.send(server.getsockname()[1])
        for number in itertools.count():
            line, _ = server.accept()
            with line, (folder / f"{number}").open("wb") as file:
                found = hashlib.sha256()
                while piece := line.recv(_PIECE):
                    file.write(piece)
                    found.update(piece)
                line.sendall(found.hexdigest().encode())
