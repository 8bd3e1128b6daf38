"""What a caller asks: chats, options and publications in Python, written as the messages of the wire."""

from parfocal.client.asking.chats import ChatMessage, Message, read_message, read_tool
from parfocal.client.asking.embedding import EmbedOptions, embed_request
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
    "ChatMessage",
    "EmbedOptions",
    "Evaluation",
    "Input",
    "Message",
    "Options",
    "Provenance",
    "Publication",
    "Question",
    "Rendering",
    "batch_request",
    "embed_request",
    "generate_request",
    "publish_header",
    "read_message",
    "read_tool",
    "tokenize_request",
]
