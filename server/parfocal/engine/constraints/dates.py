"""The dates and times of RFC 3339 as regular expressions, exactly: llguidance knows them only by their shape.

Of what the RFC leaves open, only what every reader takes: capital T and Z, no leap seconds, no year 0, at
most nine digits of a second.
"""

from typing import Any

_DIGIT = "[0-9]"
_YEAR = f"({_DIGIT}{{3}}[1-9]|{_DIGIT}{{2}}[1-9]0|{_DIGIT}[1-9]00|[1-9]000)"
_FOURTH = "(0[48]|[2468][048]|[13579][26])"
_LEAP_YEAR = f"({_DIGIT}{{2}}{_FOURTH}|({_FOURTH})00)"
_DAY = f"(0[1-9]|1{_DIGIT}|2[0-8])"
_MONTH_DAY = (
    f"((0[1-9]|1[0-2])-{_DAY}"
    "|(0[13-9]|1[0-2])-(29|30)"
    "|(0[13578]|1[02])-31)"
)  # fmt: skip
_DATE = f"({_YEAR}-{_MONTH_DAY}|{_LEAP_YEAR}-02-29)"
_HOUR_MINUTE = f"([01]{_DIGIT}|2[0-3]):[0-5]{_DIGIT}"
_TIME = rf"{_HOUR_MINUTE}:[0-5]{_DIGIT}(\.{_DIGIT}{{1,9}})?(Z|[+-]{_HOUR_MINUTE})"

PATTERNS = {"date": f"^{_DATE}$", "time": f"^{_TIME}$", "date-time": f"^{_DATE}T{_TIME}$"}


def keep_exactly(schema: dict[str, Any]) -> None:
    """Replaces a format that names a date or a time by the pattern of those that there are."""
    pattern = PATTERNS.get(schema.get("format", ""))
    if pattern is None:
        return
    del schema["format"]
    if "pattern" in schema:
        schema["allOf"] = [*schema.get("allOf", ()), {"pattern": pattern}]
    else:
        schema["pattern"] = pattern
