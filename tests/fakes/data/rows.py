"""Rows as the checks see them: a prompt and its answer, talks of several turns, chats unrolled."""

from collections.abc import Sequence

from parfocal.training.data.rows import Row, Turn


def row(line: int, prompt: str, answer: str = "x", source: str = "data.jsonl") -> Row:
    """A raw row of one prompt and one answer."""
    return Row(source, line, (Turn("user", prompt), Turn("assistant", answer, learn=True)), raw=True)


def dialogue(
    line: int, pairs: Sequence[tuple[str, str, bool]], system: str = "", source: str = "data.jsonl"
) -> Row:
    """A chat of questions and answers, each with whether it is learnt; the last answer always is."""
    turns = [Turn("system", system)] if system else []
    for at, (question, answer, learn) in enumerate(pairs, start=1):
        turns += [Turn("user", question), Turn("assistant", answer, learn or at == len(pairs))]
    return Row(source, line, tuple(turns), raw=False)


def unrolled(chat: int, turns: int, source: str = "data.jsonl") -> list[Row]:
    """One row for each answer of a chat, with all turns up to it, and every answer learnt."""
    pairs = [(f"question {chat}.{turn}?", f"answer {chat}.{turn}", True) for turn in range(turns)]
    return [dialogue(chat * turns + end, pairs[:end], source=source) for end in range(1, turns + 1)]
