"""Runs templates in a process of their own, with bounds on time, memory and text.

A template is someone else's program: it may loop for ever or exhaust memory. Then its process is killed, the
next chat gets a new one, and the server goes on.
"""

import json
from dataclasses import asdict, dataclass

from parfocal.engine.chats.templates import TemplateCall, Written
from parfocal.engine.errors import ChatRefused
from parfocal.engine.isolation import IsolatedProcess


@dataclass(frozen=True, slots=True)
class TemplateLimits:
    """What one run may take: seconds, bytes beyond the idle process, characters of text."""

    seconds: float = 2.0
    memory_bytes: int = 512 << 20
    characters: int = 16 << 20


class TemplateProcess:
    """Runs one template at a time, in a process that starts with the first. Any thread may call it."""

    def __init__(self, limits: TemplateLimits | None = None) -> None:
        self._limits = limits or TemplateLimits()
        self._process = IsolatedProcess(
            "parfocal.engine.chats.isolated",
            [str(self._limits.memory_bytes), str(self._limits.characters)],
        )

    def __call__(self, call: TemplateCall) -> Written:
        """Runs the template.

        Raises:
            ChatRefused: the template raised an error, or reached one of the limits.
        """
        question = json.dumps(asdict(call), default=str).encode("ascii")
        try:
            reply = self._process.ask(question, self._limits.seconds)
        except TimeoutError as error:
            raise ChatRefused(
                f"the chat template takes longer than {self._limits.seconds:g} seconds for these messages",
                field="chat",
            ) from error
        except EOFError as error:
            raise ChatRefused(
                "the chat template takes too much memory for these messages", field="chat"
            ) from error
        if "refusal" in reply:
            raise ChatRefused(str(reply["refusal"]), field="chat")
        return Written(reply["text"], tuple((start, end) for start, end in reply["answers"]))

    def start(self) -> None:
        """Starts the process without waiting for it, which shortens the first chat's wait."""
        self._process.start()

    def close(self) -> None:
        """Ends the process."""
        self._process.close()
