"""Chats in token ids: one rendering for serving, training, evaluation and the command. Knows no torch."""

from parfocal.engine.chats.call_format import CallFormat, learnt_format
from parfocal.engine.chats.encoding import ChatEncoder, ChatTokenizer
from parfocal.engine.chats.isolation import TemplateLimits, TemplateProcess
from parfocal.engine.chats.messages import Chat, Message, Value, plain_messages
from parfocal.engine.chats.templates import (
    TemplateCall,
    TemplateRunner,
    Written,
    check_variables,
    default_template,
    run_template,
)

__all__ = [
    "CallFormat",
    "Chat",
    "ChatEncoder",
    "ChatTokenizer",
    "Message",
    "TemplateCall",
    "TemplateLimits",
    "TemplateProcess",
    "TemplateRunner",
    "Value",
    "Written",
    "check_variables",
    "default_template",
    "learnt_format",
    "plain_messages",
    "run_template",
]
