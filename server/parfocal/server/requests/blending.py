"""From the adapters of a blend to the one adapter that they make together. Knows no engine but its values."""

import asyncio
from collections.abc import Sequence

from parfocal.engine import blend
from parfocal.server.errors import BadRequest
from parfocal.server.requests.adapters import Manner, Resolved, shown
from parfocal.server.requests.calls import Blend
from parfocal.server.requests.seams import Resolver


async def resolve_blend(resolver: Resolver, parts: Blend, key: str = "") -> Resolved:
    """What a blend means now: one adapter, with the manner of its parts as far as they have it in common.

    What becomes of it says nothing of one part's canary, so it is no arm's.

    Raises what resolving raises, InvalidRequest for a weight out of its range, and BadRequest.
    """
    found = await asyncio.gather(*(resolver.resolve(reference, key) for reference, _ in parts))
    named = []
    for place, (each, (reference, weight)) in enumerate(zip(found, parts, strict=True)):
        if each.adapter is None:
            raise BadRequest(f"{reference!r} is no adapter; name one", field=f"blend[{place}].adapter")
        named.append((each.adapter, weight))
    manner = _common([each.manner for each in found])
    notices = tuple(dict.fromkeys(notice for each in found for notice in each.notices))
    return Resolved(blend(named), manner, _cautions(found), notices)


def _common(manners: Sequence[Manner]) -> Manner:
    """The first one's, without a form where they differ in it."""
    first = manners[0]
    forms = {each.form for each in manners}
    return first if len(forms) == 1 else Manner(None, first.template, first.variables)


def _cautions(found: Sequence[Resolved]) -> tuple[str, ...]:
    first = found[0]
    written = (first.manner.template, first.manner.variables)
    if all((each.manner.template, each.manner.variables) == written for each in found) or not first.adapter:
        return ()
    return (
        f"the blend's adapters were trained with different chat templates; {shown(first.adapter)}'s is used",
    )
