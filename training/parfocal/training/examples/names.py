"""Names, goods and numbers for the examples. Those of new wording never occur in training rows."""

from collections.abc import Mapping
from random import Random

from parfocal.training.examples.lexicon import listed
from parfocal.training.examples.phrasing import Wording

FIRST: Mapping[Wording, tuple[str, ...]] = {
    "seen": listed(
        "Anna Bela Carla Dario Edith Frank Gina Henrik Ida Jorge Katya Leon Mona Nils Olivia Pavel Rita "
        "Stefan Tara Uwe Violet Wanda Xavier Yara Zeno Alma Boris Celia Derek Elsa Fabian Greta Hanna Isaac "
        "Jana Kurt Lydia Milan Nina Otto Petra Ralph Sonja Theo Ursula Vincent"
    ),
    "new": listed(
        "Agnes Bruno Cora Dennis Emil Freya Gustav Heidi Ingo Judith Konrad Livia Magnus Noemi Oskar Paula "
        "Quirin Rosa Silvia Tobias"
    ),
}
LAST: Mapping[Wording, tuple[str, ...]] = {
    "seen": listed(
        "Abbott Bergman Conti Drake Engel Frost Gruber Holm Ivanov Jansen Koch Lund Marsh Nagy Orlov Pratt "
        "Rivera Sato Thorn Ulrich Vance Winter Yates Zimmer Ashby Blum Crane Dunn Falk Gale Hart Kemp Lowe "
        "Moss North Pike Rhodes Sharp Tate Vega West Wolf Archer Bond Cole Dale"
    ),
    "new": listed(
        "Adams Barlow Castell Dorn Esposito Fink Gomez Hale Ito Jones Keller Lamb Meyer Novak Olsen Pohl "
        "Rossi Stone Toth Weber"
    ),
}
MAKES: Mapping[Wording, tuple[str, ...]] = {
    "seen": listed(
        "Boreal Comet Cosmo Delta Falcon Granite Harbor Juniper Lunar Maple Nova Prime Royal Summit Topaz "
        "Vista"
    ),
    "new": listed("Breeze Cobalt Meteor Panda Pioneer Solar Titan Vulcan"),
}
GOODS: Mapping[Wording, tuple[str, ...]] = {
    "seen": listed(
        "Kettle Toaster Lamp Blender Camera Printer Radio Heater Fan Speaker Monitor Keyboard Chair Mixer "
        "Clock Scanner"
    ),
    "new": listed("Dryer Freezer Tablet Drill Mirror Grill Vacuum Phone"),
}
# From these training makes up names, so that an adapter learns to copy any and not a list by heart.
_STARTS = listed(
    "Ba Be Bo Da De Do Fa Fe Ga Go Ha He Ja Jo Ka Ki La Le Li Lo Ma Me Mi Mo Na Ni No Pa Pe Ra Re Ri"
)
_MIDDLES = ("", "", *listed("la le li lo ma mi na ne no ra re ri ro sa se ta te ti to va vi"))
_ENDS = listed("l m n r s t x ck nd rk sh ss th lin man mon ner ric son ton win")
_MADE_UP = 0.4


def person(random: Random, wording: Wording = "seen", *, made_up: bool = True) -> str:
    """A first and a last name; now and then a made-up one, if training may see it."""
    return f"{_name(random, FIRST, wording, made_up)} {_name(random, LAST, wording, made_up)}"


def product(random: Random, wording: Wording = "seen", *, made_up: bool = True) -> str:
    """A make and a thing, such as `Nova Kettle`; either may be made up."""
    return f"{_name(random, MAKES, wording, made_up)} {_name(random, GOODS, wording, made_up)}"


def order_number(random: Random) -> str:
    """Two capitals, a dash and five digits."""
    letters = "".join(random.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(2))
    return f"{letters}-{random.randrange(10_000, 100_000)}"


def _name(random: Random, names: Mapping[Wording, tuple[str, ...]], wording: Wording, made_up: bool) -> str:
    if made_up and wording == "seen" and random.random() < _MADE_UP:
        made = random.choice(_STARTS) + random.choice(_MIDDLES) + random.choice(_ENDS)
        if made not in names["new"]:
            return made
    return random.choice(names[wording])
