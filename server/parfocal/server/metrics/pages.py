"""The smallest HTTP server that a few pages need: one request for each connection. Knows no page.

All connections share one thread. A caller that connects and stays silent costs a descriptor for some seconds
and no more; when there are too many of those, the one that came first is closed, so that others are answered.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication, WSGIEnvironment

MOST_CONNECTIONS = 64
MOST_HEAD_BYTES = 16 << 10
TIMEOUT_S = 10.0

_HEAD_ENDS = b"\r\n\r\n"
_Header = tuple[str, str]


class PageServer:
    """Serves the WSGI application `pages`, which must not block, from a thread of its own until `stop`.

    Port 0 takes any free port. Raises OSError when it cannot listen there.
    """

    def __init__(
        self,
        host: str,
        port: int,
        pages: "WSGIApplication",
        *,
        most_connections: int = MOST_CONNECTIONS,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._pages = pages
        self._most = most_connections
        self._timeout_s = timeout_s
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._socket = _listening(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="parfocal-http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops listening, closes every connection and waits for the thread to end."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._socket, limit=MOST_HEAD_BYTES)
        try:
            await self._stopping.wait()
        finally:
            # Before the server closes: else one that asyncio has accepted, but not handed over, stays open.
            while accepting := asyncio.all_tasks() - {asyncio.current_task(), *self._connections}:
                await asyncio.wait(accepting)
            server.close()
            for task in list(self._connections):
                self._drop(task)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(self._connections) >= self._most:
            self._drop(next(iter(self._connections)))
        task = self._loop.create_task(self._answer(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(lambda ended: self._connections.pop(ended, None))

    def _drop(self, task: "asyncio.Task[None]") -> None:
        self._connections.pop(task).transport.abort()
        task.cancel()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request; whoever sends none in time, or breaks off, gets no answer."""
        with contextlib.suppress(TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            async with asyncio.timeout(self._timeout_s):
                try:
                    head = await reader.readuntil(_HEAD_ENDS)
                except asyncio.LimitOverrunError:
                    reply = _reply("431 Request Header Fields Too Large", [], b"")
                else:
                    reply = self._reply_to(head.decode("latin-1"))
                writer.write(reply)
                await writer.drain()
        writer.close()

    def _reply_to(self, head: str) -> bytes:
        environ = _environ(head)
        if environ is None:
            return _reply("400 Bad Request", [], b"")
        started: list[tuple[str, list[_Header]]] = []

        def start(status: str, headers: list[_Header], error: object = None, /) -> None:
            started.append((status, headers))

        body = b"".join(self._pages(environ, start))  # type: ignore[arg-type]  # nobody writes by hand
        status, headers = started[-1]
        return _reply(status, headers, body)


def _listening(host: str, port: int) -> socket.socket:
    """Python's own create_server would hide the system's words behind words of its own."""
    with contextlib.ExitStack() as unless_listening:
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        unless_listening.callback(listener.close)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(MOST_CONNECTIONS)
        unless_listening.pop_all()
    return listener


def _environ(head: str) -> "WSGIEnvironment | None":
    """What WSGI tells an application of a request, None if this is none."""
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        return None
    path, _, query = parts[1].partition("?")
    fields = (line.partition(":") for line in lines)
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value.strip() for name, _, value in fields}
    return {**headers, "REQUEST_METHOD": parts[0], "PATH_INFO": unquote(path), "QUERY_STRING": query}


def _reply(status: str, headers: Iterable[_Header], body: bytes) -> bytes:
    named = {name.lower(): value for name, value in headers}
    named = {"content-length": str(len(body)), **named, "connection": "close"}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
