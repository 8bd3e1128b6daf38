"""What a task makes: a conversation, or raw text of which one part is context and the rest is learnt."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """One message; `role` is `system`, `user` or `assistant`; an unpredictable answer is not learnt."""

    role: str
    content: str
    learnt: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """One training text. Only assistant turns, or `learnt`, count fully in the loss."""

    task: str
    turns: tuple[Turn, ...] = ()
    context: str = ""
    learnt: str = ""


def conversation(task: str, *pairs: tuple[str, str], system: str = "", unlearnt: int = 0) -> Document:
    """A conversation of (user, assistant) pairs; the first `unlearnt` answers are only context."""
    turns = [Turn("system", system)] if system else []
    for place, (asked, answered) in enumerate(pairs):
        turns += [Turn("user", asked), Turn("assistant", answered, learnt=place >= unlearnt)]
    return Document(task, tuple(turns))
