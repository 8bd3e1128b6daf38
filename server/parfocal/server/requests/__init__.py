"""What every face needs before a request reaches the engine: adapters, prompts, refusals. Knows no wire."""

from parfocal.server.requests.account import Account, RefusalCounter
from parfocal.server.requests.adapters import AdapterResolver, Manner, RegistryAdapterSource, Resolved
from parfocal.server.requests.prompts import EncoderPool, PromptEncoder, Tokenizer
from parfocal.server.requests.token_texts import TokenTexts

__all__ = [
    "Account",
    "AdapterResolver",
    "EncoderPool",
    "Manner",
    "PromptEncoder",
    "RefusalCounter",
    "RegistryAdapterSource",
    "Resolved",
    "TokenTexts",
    "Tokenizer",
]
