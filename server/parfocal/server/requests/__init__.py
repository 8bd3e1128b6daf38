"""What every face needs before a request reaches the engine: adapters, prompts, refusals. Knows no wire."""

from parfocal.server.requests.adapters import AdapterResolver, RegistryAdapterSource
from parfocal.server.requests.manners import Manner, Resolved
from parfocal.server.requests.prompts import EncoderPool, PromptEncoder, Tokenizer
from parfocal.server.requests.refusals import Admitting, RefusalCounter
from parfocal.server.requests.token_texts import TokenTexts

__all__ = [
    "AdapterResolver",
    "Admitting",
    "EncoderPool",
    "Manner",
    "PromptEncoder",
    "RefusalCounter",
    "RegistryAdapterSource",
    "Resolved",
    "TokenTexts",
    "Tokenizer",
]
