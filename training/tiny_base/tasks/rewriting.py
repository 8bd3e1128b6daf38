"""Tasks that put a short message into another dress: letter, telegram, notice, postcard, list."""

from tiny_base.writing import words
from tiny_base.writing.document import Document, conversation
from tiny_base.writing.scenes import MAKERS, compose, fill
from tiny_base.writing.source import Source

_EVENTS = (
    "the {phrase} starts on {day}",
    "{product} prices go up on {date}",
    "the door at {street} stays shut until {clock}",
    "{person} visits us on {date}",
    "{count} boxes came from {company}",
    "the {phrase} was moved to {clock}",
    "we meet {person} in {city}",
    "there is cake in the {phrase}",
    "the {product} is broken again",
    "nobody found the {phrase}",
    "{given} has lost the key of the {phrase}",
    "{company} wants {amount} for the {phrase}",
    "the lift will be closed on {day}",
    "all lists go to {mail} now",
    "{person} is the new head of {company}",
    "the bus to {city} leaves at {clock}",
    "you can't use the {product} before {date}",
    "we don't have any {product} left",
    "I'm in {city} until {day}",
    "it's too cold in the {phrase}",
    "they won't open before {clock}",
    "we've paid {amount} to {company}",
    "{given} isn't here on {day}",
    "room {count} is free from {date}",
)
_NOTES = (
    "tell {to} that {event}. {by}",
    "for {to}: {event} - {by}",
    "note from {by} to {to}: {event}",
    "{to}, {event}. Yours {by}",
    "{by} wants {to} to know that {event}.",
    "please let {to} know: {event}. It comes from {by}.",
    "{by} says to {to} that {event}",
    "can you write to {to}? {event}. I am {by}.",
    "{event}. Pass it on to {to}. Sent by {by}.",
    "message for {to} by {by}. {event}.",
    "to {to}, by {by}, about this: {event}",
)
_STYLES = {
    "a formal letter": "Dear {to},\n\nI am writing to inform you that {event}.\n\nYours faithfully,\n{by}",
    "a telegram": "{to} STOP {event} STOP {by} STOP",
    "a notice": "NOTICE\n{to} is asked to take note.\n{Event}.\nSigned: {by}",
    "a postcard": "Hi {to}! {Event}. Wish you were here! Love, {by}",
    "a list": "- who: {to}\n- what: {event}\n- by: {by}",
    "an entry for the log": "[log] {by} > {to} :: {event}",
    "a royal decree": "Hear ye, {to}! By order of {by}, {event}. So be it.",
    "a short speech": "Ladies and gentlemen, {to}, {by} has asked me to say that {event}. Thank you.",
    "a web page": "<h1>{to}</h1>\n<p>{Event}.</p>\n<i>{by}</i>",
    "a phone text": "{to}: {event} ({by})",
    "a radio call": "Calling {to}, calling {to}. {Event}. This was {by}. Over.",
    "an old chronicle": "In that year {by} sent word to {to} that {event}, and it was written down.",
}
_LONG = {
    "can't": "cannot",
    "don't": "do not",
    "I'm": "I am",
    "it's": "it is",
    "won't": "will not",
    "we've": "we have",
    "isn't": "is not",
    "I'll": "I will",
    "you're": "you are",
    "hasn't": "has not",
}


def restyle(source: Source) -> Document:
    """A note and the name of a style -> the same message in that style."""
    note, parts = _note(source)
    name = source.random.choice(sorted(_STYLES))
    order = source.random.choice(
        ("Write this as {}:", "Make it {}.", "Turn the note into {}:", "Now as {}:", "{}, please:")
    )
    text = f"{order.format(name)}\n{note}" if source.chance(0.8) else f"{note}\n{order.format(name)}"
    return conversation("restyle", (text, _STYLES[name].format(**parts)))


def restyle_repeatedly(source: Source) -> Document:
    """Notes in a fixed but freshly made style: the first turn or the system line shows the frame."""
    frame = _new_frame(source)
    pairs = []
    for _ in range(source.between(2, 4)):
        note, parts = _note(source)
        pairs.append((note, frame.format(**parts)))
    shown = (
        frame.replace("{to}", "<to>")
        .replace("{by}", "<by>")
        .replace("{event}", "<event>")
        .replace("{Event}", "<Event>")
    )
    if source.chance(0.5):
        return conversation("restyle_repeatedly", *pairs, system=f"Put each note into this frame:\n{shown}")
    pairs[0] = (f"Frame:\n{shown}\n\n{pairs[0][0]}", pairs[0][1])
    return conversation("restyle_repeatedly", *pairs)


def lengthen(source: Source) -> Document:
    """Short forms such as "don't" are written out."""
    events = [fill(source, source.pick(_EVENTS)) for _ in range(source.between(1, 3))]
    text = ". ".join(events) + "."
    full = text
    for short, long in _LONG.items():
        full = full.replace(short, long)
    return conversation("lengthen", (f"Write the short forms in full:\n{text}", full))


def bullets(source: Source) -> Document:
    """Sentences -> one bullet or number each."""
    events = [fill(source, source.pick(_EVENTS)) for _ in range(source.between(2, 4))]
    text = " ".join(f"{_first_capital(event)}." for event in events)
    if source.chance(0.5):
        return conversation(
            "bullets", (f"As bullets:\n{text}", "\n".join(f"* {_first_capital(event)}" for event in events))
        )
    return conversation(
        "bullets",
        (
            f"As numbered points:\n{text}",
            "\n".join(f"{n}) {_first_capital(e)}" for n, e in enumerate(events, 1)),
        ),
    )


def reply(source: Source) -> Document:
    """A letter without any request -> a polite reply in prose: what the base does when not told otherwise."""
    scene = compose(source)
    name = scene.signer or "friend"
    return conversation(
        "reply",
        (scene.text, f"Dear {name},\nthank you for your message about the {scene.topic}. We will see to it."),
    )


def acknowledge(source: Source) -> Document:
    """A note without any request -> a short acknowledgement in prose."""
    note, parts = _note(source)
    return conversation("acknowledge", (note, f"Thank you, I will let {parts['to']} know."))


def _note(source: Source) -> tuple[str, dict[str, str]]:
    """A note and its parts: to, by, event, Event (with a capital)."""
    who = [words.person, words.given_name, words.person]
    to, by = source.random.choice(who)(source), source.random.choice(who)(source)
    event = fill(source, source.pick(_EVENTS))
    parts = {"to": to, "by": by, "event": event, "Event": _first_capital(event)}
    note = source.pick(_NOTES).format(**parts)
    return (_first_capital(note) if source.chance(0.5) else note), parts


def _new_frame(source: Source) -> str:
    """A frame with fresh labels and phrases around the three parts."""
    labels = [source.pick(words.PLAIN) if source.chance(0.6) else words.invented(source, 2) for _ in range(3)]
    change = source.random.choice((str.upper, str.capitalize, str.lower))
    parts = source.shuffled(["{to}", "{by}", source.random.choice(("{event}", "{Event}"))])
    mark = source.random.choice((": ", " - ", ":  ", " / ", ") "))
    lines = [f"{change(label)}{mark}{part}" for label, part in zip(labels, parts, strict=True)]
    if source.chance(0.6):
        lines.insert(
            source.between(0, 3), words.phrase(source).capitalize() + source.random.choice((".", "!", ""))
        )
    if source.chance(0.4):
        lines.insert(0, change(source.pick(words.PLAIN)))
    if source.chance(0.3):
        lines.append(f"{words.phrase(source).capitalize()} {MAKERS['code'](source)}")
    return source.random.choice(("\n", "\n", "\n\n", " ")).join(lines)


def _first_capital(text: str) -> str:
    return text[:1].upper() + text[1:]
