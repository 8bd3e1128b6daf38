"""A constraint without a grammar: the answers are listed, token by token."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from parfocal.engine.constraints import Constraint, ConstraintSpec
from parfocal.engine.errors import ConstraintFailed


@dataclass
class Listed:
    """Allows the `answers` and nothing else; counts its states. `eos` may follow a whole answer."""

    answers: tuple[tuple[int, ...], ...]
    vocabulary: int
    eos: int | None = None
    started: int = 0
    is_spent: bool = False

    def start(self) -> "ListedState":
        """Returns the state of an empty answer."""
        self.started += 1
        return ListedState(self)


@dataclass
class FakeCompiler:
    """Compiles nothing: notes what it was asked for, and gives a constraint of one answer, or `refusal`."""

    asked: list[ConstraintSpec] = field(default_factory=list)
    refusal: Exception | None = None

    async def compile(self, spec: ConstraintSpec) -> Constraint:
        """Notes the spec."""
        self.asked.append(spec)
        if self.refusal is not None:
            raise self.refusal
        return Listed(((1,),), 0x110000)


@dataclass
class ListedState:
    """What has come of one answer."""

    constraint: Listed
    accepted: list[int] = field(default_factory=list)

    @property
    def is_satisfied(self) -> bool:
        """Tells whether the tokens are an answer."""
        return tuple(self.accepted) in self.constraint.answers

    @property
    def is_complete(self) -> bool:
        """Tells whether they are one that cannot go on."""
        return self.is_satisfied and not self._next()

    def allowed(self) -> bytes:
        """Returns the tokens that may follow; raises ConstraintFailed if there is none."""
        ids = self._next()
        if self.is_satisfied and self.constraint.eos is not None:
            ids.add(self.constraint.eos)
        if not ids:
            raise ConstraintFailed("nothing may follow")
        return packed(ids, self.constraint.vocabulary)

    def allows(self, token_id: int) -> bool:
        """Tells whether a token may follow."""
        return token_id in self._next() or (self.is_satisfied and token_id == self.constraint.eos)

    def accept(self, token_id: int) -> None:
        """Goes on by a token."""
        assert token_id in self._next(), "a token was drawn that was not allowed"
        self.accepted.append(token_id)

    def _next(self) -> set[int]:
        known = len(self.accepted)
        return {
            answer[known]
            for answer in self.constraint.answers
            if len(answer) > known and list(answer[:known]) == self.accepted
        }


def packed(ids: Iterable[int], vocabulary: int) -> bytes:
    """Returns the bits of these tokens."""
    words = bytearray(-(-vocabulary // 32) * 4)
    for one in ids:
        words[one // 8] |= 1 << one % 8
    return bytes(words)
