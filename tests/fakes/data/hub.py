"""Data sets of the Hub, behind a port of this machine: as much of its protocol as reading them needs."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = "c" * 40
Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def data_sets(held: Mapping[str, Files]) -> Iterator[str]:
    """Serves the files that each data set holds, and gives what HF_ENDPOINT says."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = _reply(self.path.split("?")[0].strip("/"), held)
            self.send_response(reply.status)
            for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_HEAD = do_GET

        def log_message(self, format: str, *arguments: object) -> None:
            """Writes no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _reply(path: str, held: Mapping[str, Files]) -> _Reply:
    for repo, files in held.items():
        if path.startswith(f"api/datasets/{repo}/tree/"):
            return _json([_entry(name, data) for name, data in files.items()])
        if path.startswith(f"api/datasets/{repo}"):
            siblings = [{"rfilename": name} for name in files]
            return _json({"id": repo, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})
        name = path.removeprefix(f"datasets/{repo}/resolve/{COMMIT}/")
        if name in files:
            tag = hashlib.sha256(files[name]).hexdigest()
            return _Reply(200, files[name], {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})
    return _Reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})


def _entry(name: str, data: bytes) -> Mapping[str, object]:
    return {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}


def _json(value: object) -> _Reply:
    return _Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})
