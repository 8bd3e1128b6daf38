"""What a caller asks: chats, options and publications in Python, written as the messages of the wire."""

from parfocal.client.asking.chats import ChatMessage, Message, read_message, read_tool
from parfocal.client.asking.embedding import EmbedOptions, embed_request
from parfocal.client.asking.filters import (
    EVERY_MOVE,
    EVERY_VERSION,
    Metric,
    MoveFilter,
    VersionFilter,
    check_applied,
    filter_message,
)
from parfocal.client.asking.options import Input, Options, Question
from parfocal.client.asking.publication import (
    Evaluation,
    Provenance,
    Publication,
    Rendering,
    publish_header,
)
from parfocal.client.asking.requests import batch_request, generate_request, tokenize_request

__all__ = [
    "EVERY_MOVE",
    "EVERY_VERSION",
    "ChatMessage",
    "EmbedOptions",
    "Evaluation",
    "Input",
    "Message",
    "Metric",
    "MoveFilter",
    "Options",
    "Provenance",
    "Publication",
    "Question",
    "Rendering",
    "VersionFilter",
    "batch_request",
    "check_applied",
    "embed_request",
    "filter_message",
    "generate_request",
    "publish_header",
    "read_message",
    "read_tool",
    "tokenize_request",
]
