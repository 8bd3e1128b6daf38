"""The loop is never held: whatever is long is done in threads, beside rpcs that want their answer."""

import base64
import json
import threading
from collections.abc import Callable
from pathlib import Path

from fakes.registry.hub_server import hub
from fakes.registry.tiny_adapters import CONFIG, WEIGHTS, write_tiny_adapter
from fakes.watched_loop import WatchedLoop, no_collections
from parfocal.registry import FolderRegistry, Publication

REPO = "team/new"


def _line(key: str, **value: object) -> bytes:
    return json.dumps({"key": key, "value": value}).encode() + b"\n"


def _file(path: str, content: bytes) -> bytes:
    return _line("file", content=base64.b64encode(content).decode(), path=path, encoding="base64")


def test_large_uploads_announcements_lists_and_downloads_hold_nothing(
    registry: FolderRegistry, adapter: Callable[..., Path], publication: Publication, tmp_path: Path
) -> None:
    for number in range(3):
        registry.publish(f"team/n{number}", adapter(fill=number + 1), publication)
    folder = write_tiny_adapter(tmp_path / "tiny", rank=256)
    files = [{"path": f"logs/{number}.txt", "size": 1, "sample": "eA=="} for number in range(12_000)]
    announcement = json.dumps({"files": files}).encode()
    commit = _line("header", summary="s") + _file("tokenizer.json", b" " * (8 << 20))
    commit += b"".join(_line("deletedFile", path=f"old/{number}") for number in range(10_000))
    commit += b"".join(_file(name, (folder / name).read_bytes()) for name in (CONFIG, WEIGHTS))
    loop = WatchedLoop()

    with hub(registry, tmp_path / "home", loop=loop) as served, no_collections():
        created = json.dumps({"organization": "team", "name": "new"}).encode()
        assert served.ask("POST", "/api/repos/create", created).status == 200
        loop.holds.clear()  # what a first request loads
        asked: list[tuple[str, str, bytes | None]] = [
            ("POST", f"/api/models/{REPO}/preupload/main", announcement),
            ("POST", f"/api/models/{REPO}/commit/main", commit),
            ("GET", f"/{REPO}/resolve/main/{WEIGHTS}", None),
            ("GET", "/api/models?sort=lastModified", None),
            ("GET", f"/api/models/{REPO}/refs", None),
        ]
        for method, path, body in asked:
            answer = served.ask(method, path, body)
            assert answer.status == 200, answer.body
        order = ("POST", asked[1][1], commit)
        together = [threading.Thread(target=served.ask, args=order, daemon=True) for _ in range(3)]
        for thread in together:
            thread.start()
        for thread in together:
            thread.join(60)

    assert loop.holds == []
