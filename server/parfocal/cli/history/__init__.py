"""What happened to a registry, shown and proved, and the flags that narrow lists to a part of it."""

from parfocal.cli.history.auditing import (
    AgainstOption,
    VerifyOption,
    check_verifying,
    every_past_event,
    verify_log,
)
from parfocal.cli.history.filtering import (
    ByOption,
    MetricsOption,
    SearchOption,
    SinceOption,
    TagsOption,
    UntilOption,
    conditions,
    span,
)
from parfocal.cli.history.moves import canary_text, end_text, show_moves
from parfocal.cli.history.times import seconds_in

__all__ = [
    "AgainstOption",
    "ByOption",
    "MetricsOption",
    "SearchOption",
    "SinceOption",
    "TagsOption",
    "UntilOption",
    "VerifyOption",
    "canary_text",
    "check_verifying",
    "conditions",
    "end_text",
    "every_past_event",
    "seconds_in",
    "show_moves",
    "span",
    "verify_log",
]
