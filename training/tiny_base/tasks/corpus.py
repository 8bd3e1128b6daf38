"""The mixture: which tasks a document may come from, how often, and what comes early.

Neither of the demo's two tasks is in it: no e-mail becomes a support record here, no note a memo.
"""

from collections.abc import Callable, Iterator

from tiny_base.tasks import copying, extraction, rewriting, talking
from tiny_base.writing.document import Document, Turn
from tiny_base.writing.source import Source

TASKS: dict[Callable[[Source], Document], float] = {
    extraction.extract: 5.0,
    extraction.extract_repeatedly: 3.0,
    extraction.extract_by_form: 2.0,
    extraction.answer_question: 2.5,
    extraction.convert: 2.5,
    extraction.classify: 1.5,
    copying.repeat: 0.8,
    copying.copy: 1.2,
    copying.look_up: 1.2,
    copying.replace: 0.8,
    copying.arrange_list: 1.0,
    copying.follow_examples: 2.0,
    copying.write_date: 0.6,
    copying.change_case: 0.4,
    rewriting.restyle: 2.0,
    rewriting.restyle_repeatedly: 2.5,
    rewriting.lengthen: 0.4,
    rewriting.bullets: 0.6,
    rewriting.reply: 0.6,
    rewriting.acknowledge: 0.4,
    talking.greet: 0.2,
}
_LONG_SHARE = 0.004
_EARLY: dict[Callable[[Source], Document], float] = {
    copying.repeat: 3.0,
    copying.copy: 1.5,
    copying.look_up: 1.0,
}


def long_conversation(source: Source) -> Document:
    """Several conversations in a row, up to about the length of the context."""
    turns: list[Turn] = []
    wanted = source.between(900, 2600)
    for document in documents(source):
        size = sum(len(turn.content) for turn in (*turns, *document.turns))
        if size > wanted:
            return Document("long_conversation", tuple(turns))
        turns += [turn for turn in document.turns if turn.role != "system"]
    raise AssertionError("documents() has no end")


def documents(source: Source, early: float = 0.0) -> Iterator[Document]:
    """Yields documents without end; a share `early` of them are plain copying."""
    names, weights = list(TASKS), list(TASKS.values())
    early_names, early_weights = list(_EARLY), list(_EARLY.values())
    while True:
        if source.chance(early):
            task = source.random.choices(early_names, early_weights)[0]
        else:
            task = source.random.choices(names, weights)[0]
        yield long_conversation(source) if source.chance(_LONG_SHARE) else task(source)
