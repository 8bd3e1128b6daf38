"""What every face needs before a request reaches the engine: what is asked, of whom, in tokens. No wire."""

from parfocal.server.requests.account import Account, Line, RefusalCounter
from parfocal.server.requests.adapters import AdapterResolver, Manner, RegistryAdapterSource, Resolved
from parfocal.server.requests.calls import (
    GenerateCall,
    Input,
    chat_input,
    hold,
    prompt_input,
    tokens_input,
)
from parfocal.server.requests.intake import Compiler, DeltaStream, Generation, Intake, Resolver, Submitter
from parfocal.server.requests.prompts import EncoderPool, PromptEncoder, Tokenizer
from parfocal.server.requests.token_texts import TokenTexts
from parfocal.server.requests.tool_calls import CallReader, Said, ToolCall, ToolUse

__all__ = [
    "Account",
    "AdapterResolver",
    "CallReader",
    "Compiler",
    "DeltaStream",
    "EncoderPool",
    "GenerateCall",
    "Generation",
    "Input",
    "Intake",
    "Line",
    "Manner",
    "PromptEncoder",
    "RefusalCounter",
    "RegistryAdapterSource",
    "Resolved",
    "Resolver",
    "Said",
    "Submitter",
    "TokenTexts",
    "Tokenizer",
    "ToolCall",
    "ToolUse",
    "chat_input",
    "hold",
    "prompt_input",
    "tokens_input",
]
