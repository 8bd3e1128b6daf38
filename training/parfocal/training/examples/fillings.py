"""Words for the slots of training sentences, and sentences with their slots filled.

The sentences of new wording have words of their own.
"""

from collections.abc import Mapping
from random import Random

from parfocal.training.examples.lexicon import listed
from parfocal.training.examples.phrasing import Phrases, Wording, lines

_FILLINGS: Mapping[str, tuple[str, ...]] = {
    "lead": (
        *("",) * 10,
        *lines("""
            to be honest,
            I am sorry to say that
            as you can see,
            I must tell you that
            you should know that
            I believe
            I fear that
            my friend says that
            after all
            once more
            of course
            on top of that
            well,
        """),
    ),
    "part": listed(
        "case handle cover door button corner switch wheel foot plug cable screen belt hinge knob tray "
        "filter frame spring battery charger strap lens blade hose pipe board fuse bulb manual screw part"
    ),
    "adverb": listed("very so quite rather truly too most clearly simply indeed just all"),
    "who": listed(
        "friend sister mother father neighbour boss daughter uncle aunt brother cousin teacher doctor "
        "partner office family team"
    ),
    "verb": listed(
        "stands lies works came fell went stays runs looks sits arrived stopped started landed turned waits "
        "was is remains appeared rests moved passed got"
    ),
    "time": lines("""
        on Monday
        on Friday
        in March
        in October
        last night
        yesterday
        today
        at noon
        two days ago
        a week ago
        after lunch
        since Tuesday
        this week
        in summer
    """),
    "place": lines("""
        in the kitchen
        at home
        in the office
        at work
        in the hall
        near the door
        in the garden
        in town
        at school
        in the shop
        in another box
        here
    """),
}


def sentence(phrases: Phrases, random: Random, wording: Wording, facts: Mapping[str, str]) -> str:
    """A sentence by one of the phrases, its slots filled with `facts` or with any words that fit."""
    fillings = {slot: random.choice(choices) for slot, choices in _FILLINGS.items()}
    text = phrases.say(random, wording).format(**{**fillings, **facts}).strip()
    return text[0].upper() + text[1:]
