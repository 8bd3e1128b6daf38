"""The process in which grammars are tried, started by `Trial`. Its first line is the base's vocabulary.

Argument: how many bytes of memory it may take beyond what it has at its start.
"""

import json
import sys
from functools import partial
from typing import Any

from parfocal.engine.constraints.guided import GuidedVocabulary
from parfocal.engine.constraints.rehearsal import rehearse
from parfocal.engine.errors import EngineError
from parfocal.engine.isolation import answer_lines


def main(memory_bytes: int) -> None:
    """Tries grammars until the input ends."""
    vocabulary = GuidedVocabulary(**json.loads(sys.stdin.buffer.readline()))
    answer_lines(partial(_answer, vocabulary=vocabulary), memory_bytes)


def _answer(fields: dict[str, Any], vocabulary: GuidedVocabulary) -> dict[str, object]:
    try:
        rehearse(vocabulary.constraint(fields["grammar"]))
    except EngineError as error:
        return {"refusal": str(error)}
    return {}


if __name__ == "__main__":
    main(int(sys.argv[1]))
