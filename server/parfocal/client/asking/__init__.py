"""What a caller asks: chats, options and publications in Python, written as the messages of the wire."""

from parfocal.client.asking.chats import ChatMessage, Message, ToolCall, read_message, read_tool
from parfocal.client.asking.options import Input, Options
from parfocal.client.asking.publication import (
    Evaluation,
    Provenance,
    Publication,
    Rendering,
    publish_header,
)
from parfocal.client.asking.requests import generate_request, tokenize_request

__all__ = [
    "ChatMessage",
    "Evaluation",
    "Input",
    "Message",
    "Options",
    "Provenance",
    "Publication",
    "Rendering",
    "ToolCall",
    "generate_request",
    "publish_header",
    "read_message",
    "read_tool",
    "tokenize_request",
]
