"""Tries a grammar in a process of its own, before the server compiles it.

A grammar is someone else's program: one line may take hours or all memory to compile, and nobody can stop a
thread. A process can be killed. What compiles there in time, compiles here in the same time.
"""

import json
from dataclasses import dataclass

from parfocal.engine.errors import ConstraintRefused
from parfocal.engine.isolation import IsolatedProcess


@dataclass(frozen=True, slots=True)
class TrialLimits:
    """What one grammar may take: seconds, and bytes beyond the idle process."""

    seconds: float = 3.0
    memory_bytes: int = 512 << 20


class Trial:
    """Tries one grammar at a time. Any thread may call it."""

    def __init__(
        self, text: str, vocabulary: int, eos_ids: tuple[int, ...], limits: TrialLimits | None = None
    ) -> None:
        """Takes what `GuidedVocabulary` takes."""
        self._limits = limits or TrialLimits()
        first_line = json.dumps({"text": text, "vocabulary": vocabulary, "eos_ids": eos_ids}).encode("ascii")
        self._process = IsolatedProcess(
            "parfocal.engine.constraints.trial_process", [str(self._limits.memory_bytes)], first_line
        )

    def check(self, grammar: str) -> None:
        """Returns if the grammar compiles; raises ConstraintRefused if not, or not within the limits."""
        try:
            reply = self._process.ask(json.dumps({"grammar": grammar}).encode("ascii"), self._limits.seconds)
        except TimeoutError as error:
            raise ConstraintRefused(
                f"the constraint takes longer than {self._limits.seconds:g} seconds to compile; make it "
                "simpler: smaller counts and multiples, fewer alternatives",
                field="output_format",
            ) from error
        except EOFError as error:
            raise ConstraintRefused(
                "the constraint takes too much memory to compile; make it simpler: smaller counts, fewer "
                "alternatives, less nesting",
                field="output_format",
            ) from error
        if "refusal" in reply:
            raise ConstraintRefused(str(reply["refusal"]), field="output_format")

    def close(self) -> None:
        """Ends the process."""
        self._process.close()
