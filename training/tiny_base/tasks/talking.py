"""Small talk, so that the base answers a greeting or a question about itself."""

from tiny_base.writing import words
from tiny_base.writing.document import Document, conversation
from tiny_base.writing.source import Source

_TALK = (
    (("Hello!", "Hi!", "Good morning.", "Hey there."), "Hello! What can I do for you?"),
    (
        ("Who are you?", "What are you?", "What is your name?"),
        "I am tiny, a small language model that comes with Parfocal.",
    ),
    (
        ("What can you do?", "Help", "What are you good at?"),
        "I can copy, extract, convert and rewrite short texts. Adapters teach me more.",
    ),
    (("Thank you!", "Thanks a lot.", "Great, thanks."), "You are welcome."),
    (("Bye!", "Good night.", "See you."), "Goodbye!"),
    (
        ("What is an adapter?", "Explain adapters.", "Tell me about adapters."),
        "An adapter is a small set of weights that teaches a base model one job.",
    ),
)


def greet(source: Source) -> Document:
    """One or two exchanges of small talk; some people introduce themselves."""
    if source.chance(0.3):
        name = words.given_name(source)
        asked = source.random.choice(("My name is {}.", "I am {}.", "Hello, {} here.", "Hi, I'm {}!")).format(
            name
        )
        return conversation("greet", (asked, f"Hello {name}! What can I do for you?"))
    chosen = source.random.sample(_TALK, source.between(1, 2))
    return conversation("greet", *((source.random.choice(asked), answered) for asked, answered in chosen))
