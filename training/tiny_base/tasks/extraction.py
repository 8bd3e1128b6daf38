"""Tasks that move facts from a text into a record, or a record into another notation.

The prompt always names the notation and the exact keys, so that the answer follows from it.
"""

from collections.abc import Mapping

from tiny_base.writing import words
from tiny_base.writing.document import Document, conversation
from tiny_base.writing.records import NOTATIONS, Value, as_json
from tiny_base.writing.scene_patterns import patterns
from tiny_base.writing.scenes import MAKERS, Scene, compose
from tiny_base.writing.source import Source

_ASK = (
    "Write {notation} with {keys} from this text:",
    "Extract {keys} as {notation}.",
    "From the text, give {keys}. Form: {notation}.",
    "Turn this into {notation}. Keys: {keys}.",
    "Find {keys}. Answer in {notation}.",
    "I need {keys} as {notation}.",
    "{notation}, please, with {keys}.",
    "Read the text and fill in {keys} ({notation}).",
    "Fields: {keys}\nForm: {notation}",
    "Make a record ({notation}) of {keys}.",
    "Pull out {keys}. Use {notation}.",
    "Summarise as {notation}: {keys}",
)
_SYSTEM = (
    "You read texts and answer with {notation}. Keys: {keys}.",
    "For each text write {notation} with {keys}.",
    "Every message becomes {notation} with {keys}.",
    "You extract {keys}. You answer in {notation}.",
)
_QUESTION = (
    "What is the {key}?",
    "Which {key} is named?",
    "Tell me the {key}.",
    "{key}?",
    "Look for the {key}.",
    "Find the {key}.",
    "Give only the {key}.",
    "What does the text say about the {key}?",
)


def extract(source: Source) -> Document:
    """Text -> record; the keys are asked for in the user's message."""
    scene = compose(source)
    keys = _keys(source, scene)
    notation, write = source.random.choice(NOTATIONS[:4] if source.chance(0.5) else NOTATIONS)
    order = _ask(source, notation, list(keys.values()))
    text = f"{order}\n\n{scene.text}" if source.chance(0.7) else f"{scene.text}\n\n{order}"
    return conversation("extract", (text, write(_renamed(scene.facts, keys))))


def extract_repeatedly(source: Source) -> Document:
    """Texts -> records over two to four turns; only the system line or the first answer shows the form."""
    pattern = source.random.choice(patterns())
    scenes = [compose(source, pattern) for _ in range(source.between(2, 4))]
    shared = set.intersection(*(set(scene.facts) for scene in scenes))
    names = source.some(sorted(shared), 2, 4)
    keys = dict(zip(names, _styled(source, names), strict=True))
    notation, write = source.random.choice(NOTATIONS[:4] if source.chance(0.5) else NOTATIONS)
    pairs = [(scene.text, write(_renamed(scene.facts, keys))) for scene in scenes]
    if source.chance(0.5):
        template = source.pick(_SYSTEM)
        system = template.format(notation=notation, keys=_joined(source, list(keys.values())))
        return conversation("extract_repeatedly", *pairs, system=system)
    pairs[0] = (f"{_ask(source, notation, list(keys.values()))}\n\n{pairs[0][0]}", pairs[0][1])
    return conversation("extract_repeatedly", *pairs)


def extract_by_form(source: Source) -> Document:
    """Text and an empty form -> the filled form, as a single JSON line."""
    scene = compose(source)
    keys = _keys(source, scene)
    form = "{" + ", ".join(f'"{key}": ...' for key in keys.values()) + "}"
    order = source.random.choice(("Fill in the form", "Complete", "Use this form")) + f": {form}"
    text = f"{order}\n{scene.text}" if source.chance(0.5) else f"{scene.text}\n{order}"
    return conversation("extract_by_form", (text, as_json(_renamed(scene.facts, keys))))


def answer_question(source: Source) -> Document:
    """One to three short questions about one text; each answer is a span of it, or yes or no."""
    scene = compose(source)
    names = source.some(sorted(scene.facts), 1, 3)
    pairs = []
    for name in names:
        value = scene.facts[name]
        asked = source.pick(_QUESTION).format(key=name)
        if isinstance(value, bool):
            asked, answer = scene.flag_question, "Yes." if value else "No."
        else:
            answer = str(value)
        pairs.append((asked, answer))
    first = f"{scene.text}\n\n{pairs[0][0]}" if source.chance(0.6) else f"{pairs[0][0]}\n\n{scene.text}"
    return conversation("answer_question", (first, pairs[0][1]), *pairs[1:])


def convert(source: Source) -> Document:
    """A record in one notation -> the same record in another that the prompt names."""
    record = _random_record(source)
    (_, read), (notation, write) = source.random.sample(NOTATIONS, 2)
    order = source.random.choice(
        ("Convert to {}:", "Rewrite as {}.", "Now as {}:", "Change this to {}:")
    ).format(notation)
    if read(record).count(next(iter(record))) == 0:
        order += f" Keys: {', '.join(record)}"
    return conversation("convert", (f"{order}\n{read(record)}", write(record)))


def classify(source: Source) -> Document:
    """A text and a list of topics -> the topic."""
    scene = compose(source)
    topics = {pattern.topic for pattern in patterns()} - {scene.topic}
    options = source.shuffled([scene.topic, *source.some(sorted(topics), 1, 5)])
    order = source.random.choice(
        ("Which topic fits? ", "Choose one: ", "Sort this into one of: ", "Labels: ")
    )
    text = f"{order}{', '.join(options)}\n\n{scene.text}"
    if source.chance(0.3):
        return conversation(
            "classify", (text, as_json({"label": scene.topic})), system="Answer as JSON with a label."
        )
    return conversation("classify", (text, scene.topic))


def _keys(source: Source, scene: Scene) -> dict[str, str]:
    """Fact name -> key; now and then one fact that the text does not state."""
    names = source.some(list(scene.facts), 2, 6)
    if source.chance(0.06):
        names.insert(source.between(0, len(names)), "colour")
    return dict(zip(names, _styled(source, names), strict=True))


def _styled(source: Source, names: list[str]) -> list[str]:
    form = source.random.random()
    if form < 0.6:
        return names
    if form < 0.75:
        return [name.capitalize() for name in names]
    if form < 0.9:
        extra = source.random.choice(("the", "my", "our", "new", "item", "x"))
        return [f"{extra}_{name}" for name in names]
    return [f"{name}{place}" for place, name in enumerate(names, 1)]


def _renamed(facts: Mapping[str, Value], keys: Mapping[str, str]) -> dict[str, Value]:
    return {key: facts.get(name) for name, key in keys.items()}


def _ask(source: Source, notation: str, keys: list[str]) -> str:
    return source.pick(_ASK).format(notation=notation, keys=_joined(source, keys))


def _joined(source: Source, keys: list[str]) -> str:
    return source.random.choice((", ", ", ", " / ", "; ")).join(keys)


def _random_record(source: Source) -> dict[str, Value]:
    names = [
        words.invented(source) if source.chance(0.3) else source.pick(words.PLAIN)
        for _ in range(source.between(2, 5))
    ]
    return {name: MAKERS[source.random.choice(list(MAKERS))](source) for name in names}
