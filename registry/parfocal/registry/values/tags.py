"""Words that a publisher puts on a version, by which it is found."""

import re
from collections.abc import Iterable

from parfocal.registry.errors import InvalidArgument, InvalidPublication
from parfocal.registry.values.limits import MAX_TAGS

_TAG = re.compile(r"[a-z0-9][a-z0-9._:/=+-]{0,62}")


def check_tag(tag: str) -> str:
    """The tag; raises InvalidArgument.

    >>> check_tag("language:de")
    'language:de'
    """
    if not _TAG.fullmatch(tag):
        raise InvalidArgument(
            f"tag {tag[:80]!a} is none; write 1 to 63 of a-z, 0-9 and ._:/=+-, the first a letter or a digit",
            field="tags",
        )
    return tag


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags as a manifest holds them: sorted, each once; raises InvalidPublication."""
    try:
        found = tuple(sorted({check_tag(tag) for tag in tags}))
    except InvalidArgument as error:
        raise InvalidPublication(str(error), field=error.field) from error
    if len(found) > MAX_TAGS:
        raise InvalidPublication(f"the version has {len(found)} tags; {MAX_TAGS} fit", field="tags")
    return found
