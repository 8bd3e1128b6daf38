"""Tasks that teach to find and repeat: copies, look-ups, replacements, lists, few-shot patterns, dates."""

from collections.abc import Callable

from tiny_base.writing import words
from tiny_base.writing.document import Document, conversation
from tiny_base.writing.scenes import MAKERS, compose, fill
from tiny_base.writing.source import Source

_REPEAT = (
    "Repeat exactly:",
    "Say this again:",
    "Copy:",
    "Write the same:",
    "Echo:",
    "Copy the text below.",
    "Once more, please:",
    "Repeat after me:",
    "Copy without changes:",
)


def repeat(source: Source) -> Document:
    """Raw random pieces, then the same again: the plainest exercise in copying."""
    pieces = [_piece(source) for _ in range(source.between(3, 14))]
    text = source.random.choice((" ", "\n", ", ")).join(pieces)
    return Document("repeat", context=text + "\n", learnt="\n".join([text] * source.between(1, 2)))


def copy(source: Source) -> Document:
    """A request to repeat a text word by word."""
    form = source.between(0, 2)
    if form == 0:
        text = " ".join(_piece(source) for _ in range(source.between(2, 9)))
    elif form == 1:
        text = compose(source).text
    else:
        text = words.phrase(source) + " " + _piece(source)
    quote = source.random.choice(("", "", '"'))
    return conversation(
        "copy", (f"{source.pick(_REPEAT)}{source.random.choice((' ', chr(10)))}{quote}{text}{quote}", text)
    )


def look_up(source: Source) -> Document:
    """A list of names and values, then one or more look-ups in either direction."""
    left, right = source.random.sample(sorted(MAKERS), 2)
    by_value = {MAKERS[right](source): MAKERS[left](source) for _ in range(source.between(3, 8))}
    pairs = list({name: value for value, name in by_value.items()}.items())
    mark = source.random.choice((": ", " = ", " - ", " -> "))
    listing = "\n".join(f"{a}{mark}{b}" for a, b in pairs)
    asked = source.some(pairs, 1, 3)
    forward = source.chance(0.7)
    turns = [(f"{a}?", b) if forward else (f"Who or what has {b}?", a) for a, b in asked]
    first = f"{listing}\n\n{turns[0][0]}"
    return conversation("look_up", (first, turns[0][1]), *turns[1:])


def replace(source: Source) -> Document:
    """A text in which one stated value is replaced by another."""
    scene = compose(source)
    old = source.random.choice([str(v) for v in scene.facts.values() if not isinstance(v, bool | int)])
    new = _piece(source)
    order = source.random.choice(("Replace {a} with {b}:", "Write {b} instead of {a}:", "Change {a} to {b}:"))
    return conversation(
        "replace", (f"{order.format(a=old, b=new)}\n{scene.text}", scene.text.replace(old, new))
    )


def arrange_list(source: Source) -> Document:
    """Take, turn round, number, join or split the items of a list."""
    items = [_piece(source) for _ in range(source.between(3, 6))]
    place = source.between(1, len(items))
    ordinal = ("first", "second", "third", "fourth", "fifth", "sixth")[place - 1]
    listing = source.random.choice((", ", "\n", "; ")).join(items)
    tasks = (
        (f"What is the {ordinal} item?", items[place - 1]),
        ("What is the last item?", items[-1]),
        ("Write the list backwards, with commas.", ", ".join(reversed(items))),
        ("Number the items, one per line.", "\n".join(f"{n}. {item}" for n, item in enumerate(items, 1))),
        ("One per line with a dash.", "\n".join(f"- {item}" for item in items)),
        ("Join them with bars.", " | ".join(items)),
        ("As a JSON list.", "[" + ", ".join(f'"{item}"' for item in items) + "]"),
        (f"Leave out the {ordinal} item, use commas.", ", ".join(items[: place - 1] + items[place:])),
        ("How many items?", str(len(items))),
    )
    order, answer = source.random.choice(tasks)
    return conversation("arrange_list", (f"{order}\n{listing}", answer))


def follow_examples(source: Source) -> Document:
    """A few inputs with outputs of one hidden pattern, then a new input."""
    kinds = source.random.sample(sorted(MAKERS), source.between(1, 3))
    pattern = _hidden_pattern(source, len(kinds))
    sentence = _sentence(source, kinds)
    pairs = []
    for _ in range(source.between(3, 5)):
        values = [MAKERS[kind](source) for kind in kinds]
        pairs.append((sentence.format(*values), pattern.format(*values)))
    if source.chance(0.5):
        return conversation("follow_examples", *pairs, unlearnt=1)
    shown = "\n".join(f"{asked}\n=> {answered}" for asked, answered in pairs[:-1])
    return conversation("follow_examples", (f"{shown}\n{pairs[-1][0]}\n=>", pairs[-1][1]))


def write_date(source: Source) -> Document:
    """A date in one style -> the style that the prompt shows or names."""
    day, month, year = words.date_parts(source)
    name = words.MONTHS[month - 1]
    styles = {
        "1999-12-31": f"{year}-{month:02d}-{day:02d}",
        "31 December 1999": f"{day} {name} {year}",
        "December 31, 1999": f"{name} {day}, {year}",
        "31.12.1999": f"{day:02d}.{month:02d}.{year}",
    }
    (_, given), (wanted, answer) = source.random.sample(list(styles.items()), 2)
    order = source.random.choice(("Write {d} like {s}", "{d} in the style {s}", "Style {s}: {d}"))
    return conversation("write_date", (order.format(d=given, s=wanted), answer))


def change_case(source: Source) -> Document:
    """Lower case, capitals or title case of a short text."""
    text = words.person(source) if source.chance(0.5) else words.phrase(source)
    changes: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("lower case", str.lower),
        ("capital letters", str.upper),
        ("title case", str.title),
        ("small letters with underscores", lambda s: s.lower().replace(" ", "_")),
    )
    name, change = source.random.choice(changes)
    return conversation("change_case", (f"In {name}: {text}", change(text)))


def _piece(source: Source) -> str:
    form = source.random.random()
    if form < 0.3:
        return words.invented(source)
    if form < 0.4:
        return words.phrase(source)
    return MAKERS[source.random.choice(list(MAKERS))](source)


def _hidden_pattern(source: Source, count: int) -> str:
    order = source.shuffled([f"{{{place}}}" for place in range(count)])
    form = source.between(0, 4)
    names = [words.invented(source, 1) if source.chance(0.5) else source.pick(words.PLAIN) for _ in order]
    if form == 0:
        return "{{" + ", ".join(f'"{n}": "{o}"' for n, o in zip(names, order, strict=True)) + "}}"
    if form == 1:
        return "\n".join(f"{n.capitalize()}: {o}" for n, o in zip(names, order, strict=True))
    if form == 2:
        return "\n".join(f"{n.upper()}  {o}" for n, o in zip(names, order, strict=True))
    if form == 3:
        return source.random.choice((" / ", " | ", ", ")).join(order)
    return f"{words.phrase(source).capitalize()} {' '.join(order)} {words.phrase(source)}."


def _sentence(source: Source, kinds: list[str]) -> str:
    parts = [f"{words.phrase(source)} {{{place}}}" for place in range(len(kinds))]
    aside = fill(source, source.random.choice(("", "", " It was {day}.", " See you in {city}.")))
    text = f"{', '.join(source.shuffled(parts))}.{aside}"
    return text[:1].upper() + text[1:]
