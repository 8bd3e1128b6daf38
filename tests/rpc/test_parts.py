"""What a message is made of is counted before it is decoded, and exactly."""

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from parfocal.rpc import MessageTooLarge
from parfocal.rpc.parts import check_parts
from parfocal.v1 import inference_service_pb2 as pb

METHOD = "parfocal.v1.InferenceService/Generate"
# Longer than what needs no count.
PADDING = pb.GenerateRequest(prompt="x" * 500)

calls = st.builds(pb.ToolCall, name=st.text(max_size=3))
messages = st.builds(pb.Message, content=st.text(max_size=3), tool_calls=st.lists(calls, max_size=3))
chats = st.builds(pb.Chat, messages=st.lists(messages, max_size=3), tools=st.lists(st.text(max_size=3)))
requests = st.builds(
    pb.GenerateRequest,
    chat=chats,
    stop=st.builds(pb.Stop, token_ids=st.lists(st.integers(0, 300), max_size=3)),
    sampling=st.builds(pb.Sampling, logit_bias=st.dictionaries(st.integers(0, 9), st.floats(0, 1))),
)
batches = st.builds(pb.GenerateBatchRequest, requests=st.lists(requests, max_size=4))


def parts_of(message: Message) -> int:
    """The messages inside a decoded one, but for entries of maps and Structs."""
    count = 0
    for field, value in message.ListFields():
        of = field.message_type
        if of is None or of.GetOptions().map_entry or of.file.package == "google.protobuf":
            continue
        inside = value if field.is_repeated else [value]
        count += sum(1 + parts_of(each) for each in inside)
    return count


def refused(message: Message, most: int) -> bool:
    try:
        check_parts(message.SerializeToString(), type(message).DESCRIPTOR, METHOD, most)  # type: ignore[arg-type]  # upb's own
    except MessageTooLarge:
        return True
    return False


@given(batches)
def test_a_message_is_refused_for_one_part_too_many_and_for_none_fewer(
    batch: pb.GenerateBatchRequest,
) -> None:
    batch.requests.append(PADDING)
    count = parts_of(batch)

    assert not refused(batch, count)
    assert refused(batch, count - 1)


def test_parts_of_a_message_that_comes_twice_add_up() -> None:
    half = pb.GenerateRequest(chat=pb.Chat(messages=[pb.Message(content="x" * 20)] * 10)).SerializeToString()

    with pytest.raises(MessageTooLarge, match="at least 22 messages; at most 21 "):
        check_parts(half + half, pb.GenerateRequest.DESCRIPTOR, METHOD, 21)
    check_parts(half + half, pb.GenerateRequest.DESCRIPTOR, METHOD, 22)


def test_parts_before_one_that_is_cut_off_are_counted() -> None:
    message = b"\x0a\x00" * 30 + b"\x0a\x05\x0a\x7f" + b"\x00" * 3

    with pytest.raises(MessageTooLarge):
        check_parts(message, pb.GenerateBatchRequest.DESCRIPTOR, METHOD, 30)


def test_what_is_no_message_is_not_counted_but_refused_as_such() -> None:
    with pytest.raises(DecodeError):
        check_parts(b"\x0a\x7f" * 40, pb.GenerateRequest.DESCRIPTOR, METHOD, 10)


def test_text_is_no_parts_whatever_it_looks_like() -> None:
    request = pb.GenerateRequest(prompt="\n\0" * 200)

    assert not refused(request, 1)
