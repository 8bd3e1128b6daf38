"""Counts what a message is made of before it is decoded. Knows no rpc.

Decoding gives every submessage memory of its own, some hundred bytes for two on the wire, while others wait
for the interpreter's lock: no thread would spare them. A message is counted through a skeleton of its type,
in which all submessages are bytes, level by level: messages that follow each other are one message (the
encoding's rule for merging), so each level is decoded at once, whatever number of parts it has.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from parfocal.rpc.errors import MessageTooLarge
from parfocal.v1.limits import MESSAGE_PARTS

# The shortest submessage: a tag and a length of 0. What is no longer than so many of them needs no count.
_LEAST_BYTES = 2
UNCOUNTED_BYTES = _LEAST_BYTES * MESSAGE_PARTS.most
_FIELD = descriptor_pb2.FieldDescriptorProto


@dataclass(frozen=True, slots=True)
class _Skeleton:
    """A type with its submessages as bytes, and what they are, by the names that the skeleton gives them."""

    kind: type[Message]
    parts: dict[str, Descriptor]


def check_parts(encoded: bytes, kind: Descriptor, method: str, most: int = MESSAGE_PARTS.most) -> None:
    """Raises MessageTooLarge if a message of this type has more parts than a message may have.

    Raises DecodeError for what is no message; decoding it would do so too, if later.
    """
    if len(encoded) <= _LEAST_BYTES * most:
        return
    count, level = 0, [(kind, encoded)]
    while level:
        found = [each for of, joined in level for each in _submessages(of, joined, most)]
        count += sum(len(parts) for _, parts in found)
        if count > most:
            raise MessageTooLarge(
                f"the message to {method} is made of at least {count} messages; at most {most} "
                "are accepted in one, so send less at once",
                method=method,
            )
        level = [(of, b"".join(parts)) for of, parts in found]


def _submessages(kind: Descriptor, joined: bytes, most: int) -> Iterator[tuple[Descriptor, list[bytes]]]:
    """The submessages of each field, of all the messages that are joined. Copies none beyond what may be."""
    skeleton = _skeleton(kind)
    if not skeleton.parts or not joined:
        return
    message = skeleton.kind.FromString(joined)
    for name, of in skeleton.parts.items():
        parts = getattr(message, name)
        yield of, parts if len(parts) > most else list(parts)


@functools.cache
def _skeleton(kind: Descriptor) -> _Skeleton:
    # A single submessage may come several times: its parts add up, so it is counted as if it were repeated.
    counted = {field: of for field in kind.fields if (of := _counted(field)) is not None}
    file = descriptor_pb2.FileDescriptorProto(name="skeleton.proto", syntax="proto3")
    message = file.message_type.add(name="Skeleton")
    for field in counted:
        message.field.add(
            name=field.name, number=field.number, type=_FIELD.TYPE_BYTES, label=_FIELD.LABEL_REPEATED
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    built = message_factory.GetMessageClass(pool.FindMessageTypeByName("Skeleton"))
    return _Skeleton(built, {field.name: of for field, of in counted.items()})


def _counted(field: FieldDescriptor) -> Descriptor | None:
    """What the field's messages are; None for no messages, and for entries of maps and values of Structs.

    A whole message of those is decoded in some milliseconds.
    """
    of = field.message_type
    if of is None or of.GetOptions().map_entry or of.file.package == "google.protobuf":
        return None
    return of
