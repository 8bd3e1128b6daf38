"""Composes short everyday texts together with the facts they state: the ground truth of most tasks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tiny_base.writing import words
from tiny_base.writing.records import Value
from tiny_base.writing.scene_patterns import Pattern, flags, patterns
from tiny_base.writing.source import Source

MAKERS: Mapping[str, Callable[[Source], str]] = {
    "person": words.person,
    "given": words.given_name,
    "city": words.city,
    "company": words.company,
    "product": words.product,
    "street": words.street,
    "code": words.code,
    "phone": words.phone,
    "mail": words.mail_address,
    "amount": words.amount,
    "count": words.count,
    "clock": words.clock,
    "date": words.date,
    "day": words.weekday,
    "phrase": words.phrase,
}
_GREETINGS = (
    "Hello,",
    "Hi there,",
    "Good morning,",
    "Good evening,",
    "Hi,",
    "To whom it may concern,",
    "Greetings,",
    "Dear team,",
    "Dear all,",
    "Hello everybody,",
    "Hey,",
    "Dear friends,",
)
_CLOSINGS = (
    "Regards,",
    "Kind regards,",
    "Best wishes,",
    "Thanks,",
    "Many thanks,",
    "Yours,",
    "Cheers,",
    "Best,",
    "Sincerely,",
    "All the best,",
    "With thanks,",
    "Greetings from",
    "Signed,",
    "Warm regards,",
    "Bye,",
    "Yours truly,",
)
_ASIDES = (
    "The weather here has been mild.",
    "I hope you are well.",
    "It was a long week for all of us.",
    "My neighbour {given} says the same.",
    "We talked about this on {day}.",
    "Please do not call before {clock}.",
    "I have been away since {day}.",
    "My colleague {person} knows about it too.",
    "You helped me once before, in {city}.",
    "I am writing from {city} today.",
    "Sorry for the short note.",
    "There is no need to answer at night.",
    "I tried to phone, but nobody answered.",
    "The old number {code} is no longer right.",
    "This is my second letter.",
    "We are happy in general.",
    "It rained on {day}.",
    "Let me know if anything is not clear.",
    "I found your page by chance.",
    "The children liked it.",
    "My last visit was in {city}.",
    "I will be at home until {clock}.",
    "Nothing else has changed.",
    "Please keep this letter.",
)


@dataclass(frozen=True, slots=True)
class Scene:
    """A text, its topic, the facts in it (in the order of the pattern) and who signed it, if anybody."""

    topic: str
    text: str
    facts: Mapping[str, Value]
    flag_question: str
    signer: str | None


def fill(source: Source, template: str) -> str:
    """The template with each `{kind}` replaced by a fresh value of that kind."""
    out = template
    for kind, make in MAKERS.items():
        while "{" + kind + "}" in out:
            out = out.replace("{" + kind + "}", make(source), 1)
    return out


def compose(source: Source, pattern: Pattern | None = None) -> Scene:
    """A new scene of the pattern (any pattern when None)."""
    chosen = pattern or source.random.choice(patterns())
    facts: dict[str, Value] = {}
    sentences = []
    for name, fact in chosen.facts.items():
        value = MAKERS[fact.kind](source)
        facts[name] = int(value) if fact.kind == "count" else value
        sentences.append(fill(source, source.pick(fact.said).replace("{v}", value)))
    flag = source.random.choice(flags())
    if source.chance(0.5):
        facts[flag.name] = source.chance(0.5)
        sentences.append(source.pick(flag.yes if facts[flag.name] else flag.no))
        return _letter(source, chosen, facts, sentences, flag.question)
    return _letter(source, chosen, facts, sentences, "")


def _letter(
    source: Source, pattern: Pattern, facts: dict[str, Value], sentences: list[str], flag_question: str
) -> Scene:
    """Joins the sentences: a random order, asides in between, at times a greeting and a signature."""
    if source.chance(0.6):
        sentences = source.shuffled(sentences)
    for _ in range(source.random.choice((0, 0, 0, 1, 1, 2))):
        sentences.insert(source.between(0, len(sentences)), fill(source, source.pick(_ASIDES)))
    body = _paragraphs(source, sentences)
    signer = None
    if source.chance(0.55):
        signer = words.person(source) if source.chance(0.7) else words.given_name(source)
        facts["sender"] = signer
        body = f"{body}\n{source.pick(_CLOSINGS)}{source.random.choice((' ', chr(10)))}{signer}"
    if source.chance(0.5):
        body = f"{source.pick(_GREETINGS)}\n{body}"
    if source.chance(0.2):
        body = f"{source.random.choice(('About', 'Topic', 'Re'))}: {pattern.topic}\n{body}"
    return Scene(pattern.topic, body, facts, flag_question, signer)


def _paragraphs(source: Source, sentences: list[str]) -> str:
    if len(sentences) > 3 and source.chance(0.3):
        middle = source.between(1, len(sentences) - 1)
        return " ".join(sentences[:middle]) + "\n" + " ".join(sentences[middle:])
    return " ".join(sentences)
