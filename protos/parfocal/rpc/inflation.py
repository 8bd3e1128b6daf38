"""Messages that callers compressed. Knows no rpc.

gRPC itself would inflate a message to the end before it looks at its size: a megabyte, to a gigabyte. So a
server takes compressed messages as they are, and inflates them here, as far as a message may go.
"""

import zlib

from parfocal.rpc.errors import MessageTooLarge, MessageUnreadable
from parfocal.v1.limits import REQUEST_BYTES

# No message of protobuf begins so: it would be a field of a type that there is not.
GZIP = b"\x1f\x8b"
_WITH_GZIP_HEADER = 16 + zlib.MAX_WBITS


def inflated(received: bytes, method: str) -> bytes:
    """The message as it was before its caller compressed it: it begins with `GZIP`.

    Raises MessageTooLarge beyond what any message may have, MessageUnreadable for what is no gzip.
    """
    stream = zlib.decompressobj(_WITH_GZIP_HEADER)
    try:
        message = stream.decompress(received, REQUEST_BYTES.most + 1)
    except zlib.error as error:
        raise MessageUnreadable(
            f"the {len(received)} bytes sent to {method} begin as gzip and are none; send them again",
            method=method,
        ) from error
    if len(message) > REQUEST_BYTES.most:
        raise MessageTooLarge(
            f"the message to {method} has more than {REQUEST_BYTES.most} bytes when it is inflated; send "
            "less at once",
            method=method,
        )
    if not stream.eof or stream.unused_data:
        raise MessageUnreadable(
            f"the {len(received)} bytes sent to {method} are not one whole gzip stream; send them again",
            method=method,
        )
    return message
