"""Invented and common words: names of people, places, firms and goods, dates, codes and amounts."""

from parfocal.training.examples import LEXICON, listed
from tiny_base.writing.source import Source

GIVEN = listed(
    "Anna Bruno Clara David Elena Farid Grace Hugo Ines Jonas Karin Liam Maria Nadia Oscar Paula Quentin "
    "Rosa Samir Teresa Ulrich Vera Walter Yasmin Zoe Peter Helen Martin Laura Simon Alice Robert Julia "
    "Thomas Emma George Sarah Daniel Lucy Kenji Mei Arjun Priya Omar Leila Igor Olga Marta Felix Irene "
    "Victor Diana Carlos Susan Henry Nora Adam Ruth Philip Joan Edgar Flora Ivan Lena Marcus Tina"
)
FAMILY = listed(
    "Adler Baker Castro Duval Evans Fischer Garcia Hansen Ito Jensen Keller Lopez Moreau Novak Olsen Petrov "
    "Quinn Rossi Schmidt Tanaka Unger Vargas Weber Young Zeller Miller Brown Carter Dixon Ellis Foster "
    "Grant Hughes Irwin Khan Larsen Mason Nolan Owens Parker Reed Stone Turner Walsh Becker Cohen Dubois "
    "Ferrari Haddad Kumar Lindgren Mehta Okafor Popov Silva Vogel Wagner Yilmaz Ahmed Berg"
)
CITIES = listed(
    "Lisbon Oslo Vienna Dublin Madrid Prague Geneva Turin Hamburg Leeds Boston Denver Kyoto Osaka Cairo "
    "Lagos Quito Lima Bergen Ghent Lyon Porto Zagreb Riga Tallinn Malmo Bristol Dallas Perth Nairobi Tunis "
    "Seville Basel Graz Utrecht Bremen York Salem Austin Toledo"
)
MATERIALS = listed(
    "Steel Oak Copper Linen Silver Glass Cotton Paper Stone Leather Amber Ivory Cedar Velvet Iron"
)
GOODS = listed(
    "Lamp Table Kettle Printer Jacket Bicycle Camera Clock Radio Chair Mirror Blanket Guitar Tent Carpet "
    "Drill Heater Monitor Keyboard Backpack Toaster Wallet Shelf Fan Pump Boiler Scale Speaker Scanner "
    "Helmet"
)
COLOURS = listed("red blue green black white grey brown yellow orange purple pink golden dark pale")
STREETS = listed("Mill Station Church Garden River Park Bridge Market School Harbour Castle Forest Hill Lake")
TRADES = listed(
    "Logistics Foods Textiles Press Tools Travel Optics Motors Records Energy Homes Labs Trading Media"
)
MONTHS = listed("January February March April May June July August September October November December")
DAYS = listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
PLAIN = listed(
    "river paper window garden engine letter market silver morning bridge winter station copper ticket "
    "basket harbour minute pencil village kitchen journey button candle forest ladder mirror needle office "
    "planet pocket rabbit saddle shadow signal summer temple thunder tunnel valley wagon water yellow "
    "anchor autumn butter camera castle corner cotton desert dinner doctor driver evening farmer feather "
    "finger flower hammer island jacket lesson master metal mountain number orange people picture pillow "
    "record rocket school sister soldier spring square stone sugar table teacher thread ticket tower travel "
    "weather wheel wind wood world year"
)
_ONSETS = listed("b br c ch cl d dr f fl g gl gr h j k kl l m n p pl qu r s sh sk st t th tr v w y z")
_VOWELS = listed("a e i o u a e i o ai ea ou ia io")
_CODAS = ("", "", "", *listed("l n r s t m nd rk st ll x ck th n r l"))
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def invented(source: Source, syllables: int = 0) -> str:
    """A new lower-case word of one to three syllables, or of as many of the source's pieces."""
    if source.pieces and source.chance(0.6):
        return "".join(source.random.choice(source.pieces) for _ in range(syllables or source.between(1, 3)))
    draw = source.random.choice
    count = syllables or source.between(1, 3)
    word = "".join(
        draw(_ONSETS) + draw(_VOWELS) + (draw(_CODAS) if source.chance(0.6) else "") for _ in range(count)
    )
    return word if len(word) > 2 else word + "n"


def given_name(source: Source) -> str:
    """A first name, more often invented than common."""
    return source.pick(GIVEN) if source.chance(0.45) else invented(source, source.between(1, 2)).capitalize()


def family_name(source: Source) -> str:
    """A family name, more often invented than common."""
    return source.pick(FAMILY) if source.chance(0.4) else invented(source, source.between(1, 3)).capitalize()


def person(source: Source) -> str:
    """A first and a family name, at times with a title or an initial."""
    first, last = given_name(source), family_name(source)
    form = source.random.random()
    if form < 0.05:
        return f"{source.random.choice(('Mr', 'Ms', 'Dr'))} {last}"
    if form < 0.10:
        return f"{first} {source.random.choice(_LETTERS)}. {last}"
    return f"{first} {last}"


def city(source: Source) -> str:
    """The name of a town."""
    return source.pick(CITIES) if source.chance(0.5) else invented(source, 2).capitalize()


def company(source: Source) -> str:
    """The name of a firm, such as `Adler Optics` or `Trovia Labs`."""
    first = source.pick(FAMILY) if source.chance(0.3) else invented(source, 2).capitalize()
    return f"{first} {source.pick(TRADES)}"


def product(source: Source) -> str:
    """The name of something for sale, in title case."""
    good = source.pick(GOODS) if source.chance(0.6) else invented(source, 2).capitalize()
    form = source.random.random()
    if form < 0.3:
        return f"{source.pick(MATERIALS)} {good}"
    if form < 0.55:
        return f"{invented(source, 2).capitalize()} {good}"
    if form < 0.75:
        return f"{source.pick(COLOURS).capitalize()} {good}"
    return f"{good} {source.between(2, 9) * source.random.choice((1, 10, 100))}"


def street(source: Source) -> str:
    """A street and a number."""
    return (
        f"{source.between(1, 180)} {source.pick(STREETS)} {source.random.choice(('Street', 'Road', 'Lane'))}"
    )


def digits(source: Source, count: int) -> str:
    """`count` random digits."""
    return "".join(source.random.choice("0123456789") for _ in range(count))


def capitals(source: Source, count: int) -> str:
    """`count` random capital letters."""
    return "".join(source.random.choice(_LETTERS) for _ in range(count))


def code(source: Source) -> str:
    """A reference such as `KT-4821`, `58-221-07`, `Q90317` or `#72210`."""
    form = source.between(0, 5)
    if form == 0:
        return f"{capitals(source, source.between(1, 3))}-{digits(source, source.between(3, 6))}"
    if form == 1:
        return f"{capitals(source, source.between(1, 2))}{digits(source, source.between(3, 6))}"
    if form == 2:
        return f"{digits(source, 2)}-{digits(source, 3)}-{digits(source, 2)}"
    if form == 3:
        return digits(source, source.between(4, 8))
    if form == 4:
        return f"{digits(source, source.between(2, 4))}/{capitals(source, source.between(1, 2))}"
    return f"#{digits(source, source.between(4, 6))}"


def phone(source: Source) -> str:
    """A telephone number."""
    return f"0{digits(source, 2)} {digits(source, 3)} {digits(source, 4)}"


def mail_address(source: Source) -> str:
    """An e-mail address."""
    left = given_name(source).lower() + source.random.choice((".", "_", "")) + family_name(source).lower()
    return f"{left}@{invented(source, 2)}.{source.random.choice(('com', 'org', 'net', 'example'))}"


def amount(source: Source) -> str:
    """A sum of money."""
    number = (
        f"{source.between(2, 900)}.{digits(source, 2)}"
        if source.chance(0.6)
        else str(source.between(2, 2000))
    )
    form = source.between(0, 2)
    return (f"${number}", f"{number} euros", f"EUR {number}")[form]


def count(source: Source) -> str:
    """A small whole number."""
    return str(source.between(2, 12) if source.chance(0.7) else source.between(13, 99))


def clock(source: Source) -> str:
    """A time of day."""
    hour, minute = source.between(1, 12), source.random.choice(("00", "15", "20", "30", "40", "45", "50"))
    return f"{hour}:{minute}" + (source.random.choice((" am", " pm")) if source.chance(0.4) else "")


def weekday(source: Source) -> str:
    """A day of the week."""
    return source.random.choice(DAYS)


def date_parts(source: Source) -> tuple[int, int, int]:
    """Day, month (1 to 12) and year."""
    return source.between(1, 28), source.between(1, 12), source.between(1960, 2029)


def date(source: Source) -> str:
    """A date in one of the usual styles."""
    day, month, year = date_parts(source)
    name = MONTHS[month - 1]
    styles = (
        f"{day} {name}",
        f"{name} {day}",
        f"{day} {name} {year}",
        f"{name} {day}, {year}",
        f"{year}-{month:02d}-{day:02d}",
    )
    return source.random.choice(styles)


def phrase(source: Source) -> str:
    """Two to five plain lower-case words."""
    return " ".join(_plain_word(source) for _ in range(source.between(2, 5)))


def _plain_word(source: Source) -> str:
    if source.pieces and source.chance(0.4):
        return source.random.choice(source.pieces)
    return source.pick(PLAIN if source.chance(0.3) else LEXICON)
