"""What every face needs before a request reaches the engine: what is asked, of whom, in tokens. No wire."""

from parfocal.server.requests.account import Account, Line, PartLine, RefusalCounter, summed
from parfocal.server.requests.adapters import (
    AdapterResolver,
    Manner,
    RegistryAdapterSource,
    Resolved,
    Versions,
    shown,
)
from parfocal.server.requests.calls import (
    Blend,
    GenerateCall,
    Input,
    chat_input,
    hold,
    prompt_input,
    tokens_input,
)
from parfocal.server.requests.embedding import EmbedCall, Embedding, naming_input
from parfocal.server.requests.intake import Generation, Intake, size_of
from parfocal.server.requests.json_objects import json_object
from parfocal.server.requests.prompts import EncoderPool, PromptEncoder, Tokenizer
from parfocal.server.requests.seams import Compiler, DeltaStream, Resolver, Submitter
from parfocal.server.requests.signed import SignatureCheck, SignedVersions
from parfocal.server.requests.token_texts import TokenTexts
from parfocal.server.requests.tool_calls import CallReader, Said, ToolCall, ToolUse
from parfocal.server.requests.tool_choice import AUTO, ToolChoice

__all__ = [
    "AUTO",
    "Account",
    "AdapterResolver",
    "Blend",
    "CallReader",
    "Compiler",
    "DeltaStream",
    "EmbedCall",
    "Embedding",
    "EncoderPool",
    "GenerateCall",
    "Generation",
    "Input",
    "Intake",
    "Line",
    "Manner",
    "PartLine",
    "PromptEncoder",
    "RefusalCounter",
    "RegistryAdapterSource",
    "Resolved",
    "Resolver",
    "Said",
    "SignatureCheck",
    "SignedVersions",
    "Submitter",
    "TokenTexts",
    "Tokenizer",
    "ToolCall",
    "ToolChoice",
    "ToolUse",
    "Versions",
    "chat_input",
    "hold",
    "json_object",
    "naming_input",
    "prompt_input",
    "shown",
    "size_of",
    "summed",
    "tokens_input",
]
