"""Names, goods and numbers for the demo's examples."""

from random import Random

from parfocal.training.examples.lexicon import listed

_FIRST = listed(
    "Anna Bela Carla Dario Edith Frank Gina Henrik Ida Jorge Katya Leon Mona Nils Olivia Pavel Rita Stefan "
    "Tara Uwe Violet Wanda Xavier Yara Zeno Alma Boris Celia Derek Elsa Fabian Greta Hanna Isaac Jana Kurt "
    "Lydia Milan Nina Otto Petra Ralph Sonja Theo Ursula Vincent"
)
_LAST = listed(
    "Abbott Bergman Conti Drake Engel Frost Gruber Holm Ivanov Jansen Koch Lund Marsh Nagy Orlov Pratt "
    "Rivera Sato Thorn Ulrich Vance Winter Yates Zimmer Ashby Blum Crane Dunn Falk Gale Hart Kemp Lowe Moss "
    "North Pike Rhodes Sharp Tate Vega West Wolf Archer Bond Cole Dale"
)
_MAKES = listed(
    "Boreal Comet Cosmo Delta Falcon Granite Harbor Juniper Lunar Maple Nova Prime Royal Summit Topaz Vista"
)
_GOODS = listed(
    "Kettle Toaster Lamp Blender Camera Printer Radio Heater Fan Speaker Monitor Keyboard Chair Mixer Clock "
    "Scanner"
)


def person(random: Random) -> str:
    """A first and a last name."""
    return f"{random.choice(_FIRST)} {random.choice(_LAST)}"


def product(random: Random) -> str:
    """A make and a thing, such as `Nova Kettle`."""
    return f"{random.choice(_MAKES)} {random.choice(_GOODS)}"


def order_number(random: Random) -> str:
    """Two capitals, a dash and five digits."""
    letters = "".join(random.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(2))
    return f"{letters}-{random.randrange(10_000, 100_000)}"
