"""A process that answers, and does what no process should: `python -m fakes.registry.questions`."""

import os

from parfocal.registry.isolation import answer_questions


def answer(question: bytes) -> bytes:
    match question:
        case b"work for ever":
            while True:
                pass
        case b"grow for ever":
            return bytes(1 << 46)
        case b"fail":
            raise SystemExit(3)
        case b"print":
            print("a library says hello")
        case b"priority":
            return str(os.nice(0)).encode()
    return question[::-1]


if __name__ == "__main__":
    answer_questions(answer)
