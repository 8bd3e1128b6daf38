"""What the engine asks of a constraint: one for each request, with a state for each answer."""

from typing import Protocol


class ConstraintState(Protocol):
    """How far one answer has come in its constraint. Only the engine's thread uses it."""

    @property
    def is_satisfied(self) -> bool:
        """Whether the answer may end here."""

    @property
    def is_complete(self) -> bool:
        """Whether it must end here: no token may follow."""

    def allowed(self) -> bytes:
        """The tokens that may follow, a bit for each in words of 32, the lowest bit first; changes nothing.

        End tokens are among them where the answer may end, other special tokens never.

        Raises:
            ConstraintFailed: no token may follow, or finding out would take too long.
        """

    def allows(self, token_id: int) -> bool:
        """Whether this token is among them, which takes a tenth of the time."""

    def accept(self, token_id: int) -> None:
        """Goes on by a token that was allowed."""


class Constraint(Protocol):
    """What an answer must look like, compiled for one vocabulary. Any number of requests may share it."""

    @property
    def vocabulary(self) -> int:
        """How many tokens it was compiled for: the width of the logits."""

    @property
    def is_spent(self) -> bool:
        """Whether an answer has failed under it, so that the next one should get a new one."""

    def start(self) -> ConstraintState:
        """The state of an empty answer."""
