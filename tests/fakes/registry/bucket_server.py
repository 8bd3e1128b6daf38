"""S3 over HTTP on this machine, by moto, with troubles on order. Also a process of its own:

`python -m fakes.registry.bucket_server` prints its URL and ends with stdin.
"""

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "adapters"
_names = itertools.count(1)


class BucketServer:
    """A server of buckets at `url`. It answers the next `refusals` requests with 503, each `delay_s` late."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self.url = ""
        self.refusals = 0
        self.refused = 0
        self.delay_s = 0.0
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        time.sleep(self.delay_s)
        if self.refusals:
            self.refusals -= 1
            self.refused += 1
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("503 Slow Down", [("Content-Type", "application/xml")])
            return [
                b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
            ]
        return self._application(environ, start_response)

    def new_bucket(self) -> str:
        """Returns the URL of an empty place for blobs."""
        return f"s3://{BUCKET}/place-{os.getpid()}-{next(_names)}?endpoint_url={self.url}"

    def client(self) -> Any:
        """A plain client, as others have."""
        import boto3

        session = boto3.session.Session(
            KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"], region_name=KEYS["AWS_DEFAULT_REGION"]
        )
        return session.client("s3", endpoint_url=self.url)


@contextmanager
def bucket_server() -> Iterator[BucketServer]:
    """Runs a server on a free port of the loopback until the end of the body."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    quiet = type("Quiet", (WSGIRequestHandler,), {"protocol_version": "HTTP/1.1", "log": lambda *_: None})

    served = BucketServer(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, served, threaded=True, request_handler=quiet)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="bucket-server", daemon=True)
    thread.start()
    try:
        client = served.client()
        client.create_bucket(Bucket=BUCKET)
        client.close()
        yield served
    finally:
        server.shutdown()
        thread.join(60)
        server.server_close()


def why_no_bucket() -> str:
    """Why no server can be run here, or nothing."""
    try:
        import moto.server  # noqa: F401
        import s3fs  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed: pip install 'parfocal[s3]' moto[s3,server]"
    return ""


if __name__ == "__main__":
    with bucket_server() as server:
        print(server.url, flush=True)
        sys.stdin.read()
