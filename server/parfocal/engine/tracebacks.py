"""Errors that are kept longer than what their frames hold."""

import traceback


def release_frames(error: BaseException) -> None:
    """Drops the local variables of an error's frames, and of its causes': the tensors of a failed step.

    Where it was raised stays readable.
    """
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            traceback.clear_frames(each.__traceback__)
            left += [each.__cause__, each.__context__]


def in_short(error: BaseException, most: int = 300) -> str:
    """What an error says, in one line of at most `most` characters; its type if it says nothing."""
    return " ".join(str(error).split())[:most] or type(error).__name__
