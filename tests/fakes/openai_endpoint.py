"""Another server as a bench meets it: OpenAI's streamed completions over real HTTP, the answers made up."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Event = dict[str, Any]
Body = dict[str, Any]

DONE = b"data: [DONE]\n\n"


def events_of(texts: Sequence[str], completion_tokens: int | None) -> list[bytes]:
    """Returns one event for each text, one that says it is complete, and the usage where there is any."""
    events: list[Event] = [{"choices": [{"text": text, "finish_reason": None}]} for text in texts]
    events.append({"choices": [{"text": "", "finish_reason": "length"}]})
    if completion_tokens is not None:
        usage = {"completion_tokens": completion_tokens, "prompt_tokens_details": {"cached_tokens": 1}}
        events.append({"choices": [], "usage": usage})
    return [*(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events), DONE]


def obedient(body: Body) -> list[bytes]:
    """Answers as asked: one event for each token."""
    return events_of(["x"] * body["max_tokens"], body["max_tokens"])


@dataclass
class FakeEndpoint:
    """What the endpoint was asked, and what it answers: `answer` makes the pieces that it sends."""

    answer: Callable[[Body], list[bytes]] = obedient
    status: int = 200
    chunked: bool = False
    port: int = 0
    asked: list[tuple[str, Body]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Returns where it listens."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def openai_endpoint(fake: FakeEndpoint) -> Iterator[FakeEndpoint]:
    """Serves `fake` on a free port of this machine until the scope is left."""

    class Face(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1" if fake.chunked else "HTTP/1.0"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.asked.append((self.path, body))
            self.send_response(fake.status)
            self.send_header("Content-Type", "text/event-stream")
            if fake.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in fake.answer(body):
                framed = b"%x\r\n%s\r\n" % (len(piece), piece) if fake.chunked else piece
                self.wfile.write(framed)
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n" if fake.chunked else b"")

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: the tests look at what was asked."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Face) as server:
        fake.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
