"""Compressed messages over a real channel: taken, answered where wanted, never inflated beyond a limit."""

import asyncio
import gzip

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.echo import NAME, Echo, serving
from parfocal.rpc import COMPRESSED_REPLIES, MessageTooLarge, MessageUnreadable, RemoteError, remote_error
from parfocal.rpc.inflation import inflated
from parfocal.v1.limits import HEADER_BYTES, REQUEST_BYTES

GZIP = grpc.Compression.Gzip


def refusal(request: bytes, rpc: str = "UnaryUnary") -> RemoteError:
    """How a compressed request is refused; the next one is answered."""

    async def scenario() -> RemoteError:
        async with serving(Echo()) as (_, channel):
            unary = channel.unary_unary(f"/{NAME}/UnaryUnary", None, None)
            stream = channel.stream_unary(f"/{NAME}/StreamUnary", None, None)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                if rpc == "UnaryUnary":
                    await unary(request, compression=GZIP)
                else:
                    await stream(iter([b"head", request]), compression=GZIP)
            assert await unary(b"next") == b"next"
            return remote_error(refused.value)

    return asyncio.run(scenario())


@pytest.mark.parametrize("size", [0, 1, 1000, HEADER_BYTES.most])
def test_a_compressed_message_is_read_as_it_was(size: int) -> None:
    async def scenario() -> list[bytes]:
        async with serving(Echo()) as (_, channel):
            unary = channel.unary_unary(f"/{NAME}/UnaryUnary", None, None)
            stream = channel.stream_unary(f"/{NAME}/StreamUnary", None, None)
            return [
                await unary(b"a" * size, compression=GZIP),
                await stream(iter([b"a" * size, b"b"]), compression=GZIP),
            ]

    assert asyncio.run(scenario()) == [b"a" * size, b"a" * size + b"b"]


@pytest.mark.parametrize("rpc", ["UnaryUnary", "StreamUnary"])
def test_a_message_that_inflates_beyond_the_limit_is_refused(rpc: str) -> None:
    refused = refusal(bytes(64 << 20), rpc)

    assert (refused.status, refused.reason) == ("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE")
    assert f"more than {REQUEST_BYTES.most} bytes when it is inflated" in str(refused)


def test_the_first_message_of_a_stream_is_held_to_its_own_limit_when_it_is_inflated() -> None:
    async def scenario() -> RemoteError:
        async with serving(Echo()) as (_, channel):
            stream = channel.stream_unary(f"/{NAME}/StreamUnary", None, None)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stream(iter([bytes(HEADER_BYTES.most + 1)]), compression=GZIP)
            return remote_error(refused.value)

    assert asyncio.run(scenario()).reason == "MESSAGE_TOO_LARGE"


def test_large_replies_are_compressed_for_who_wants_it_and_nothing_else() -> None:
    """Seen by a caller who does not inflate what comes."""

    async def scenario() -> list[int]:
        options = [("grpc.per_message_decompression", 0)]
        async with (
            serving(Echo()) as (server, _),
            grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options) as channel,
        ):
            unary = channel.unary_unary(f"/{NAME}/UnaryUnary", None, None)
            stream = channel.unary_stream(f"/{NAME}/UnaryStream", None, None)
            sizes = []
            for size in (10_000, 1000):
                for metadata in ((), COMPRESSED_REPLIES):
                    [streamed] = [each async for each in stream(b"a" * size, metadata=metadata)]
                    sizes += [len(await unary(b"a" * size, metadata=metadata)), len(streamed)]
            return sizes

    *large, plain, streamed, small, streamed_small = asyncio.run(scenario())

    assert large[:2] == [10_000] * 2 and max(large[2:]) < 200
    assert (plain, streamed, small, streamed_small) == (1000,) * 4


@given(st.binary(max_size=2000))
def test_what_is_inflated_is_what_was_compressed(message: bytes) -> None:
    assert inflated(gzip.compress(message), "m") == message


@given(st.binary(max_size=200))
def test_what_only_begins_as_gzip_is_refused(rest: bytes) -> None:
    with pytest.raises((MessageUnreadable, MessageTooLarge)):
        inflated(b"\x1f\x8b\x08\x00" + rest, "m")


ONE = gzip.compress(b"one", mtime=0)


@pytest.mark.parametrize("wrong", [ONE * 2, ONE[:-1], b"\x1f\x8b"], ids=["two", "cut off", "begun"])
def test_a_message_is_one_whole_stream(wrong: bytes) -> None:
    with pytest.raises(MessageUnreadable):
        inflated(wrong, "m")
