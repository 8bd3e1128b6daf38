"""Reads a chat template as Jinja, and says where it is none. Does not run it."""

from collections.abc import Iterator

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser


def template_fault(text: str) -> str | None:
    """What would refuse every chat, if anything: a fault of syntax, a filter or test that does not exist.

    The rules are those of transformers, which writes chats with the template.
    """
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, autoescape=False, extensions=[_Generation, loopcontrols]
    )
    try:
        # Parsing computes nothing; compiling would already compute what is constant, however large.
        return next(_unknown(environment, environment.parse(text)), None)
    except jinja2.TemplateSyntaxError as error:
        return f"line {error.lineno}: {error.message}"
    except RecursionError:
        return "it is nested too deeply"
    except ValueError:  # Python's bound on the digits of one number
        return "it has a number of thousands of digits"


def _unknown(environment: jinja2.Environment, tree: nodes.Node) -> Iterator[str]:
    """What does not exist, outside of conditions: within one, Jinja complains only when it gets there."""
    for node in tree.iter_child_nodes():
        if isinstance(node, nodes.If | nodes.CondExpr):
            continue
        if isinstance(node, nodes.Filter) and node.name not in environment.filters:
            yield f"line {node.lineno}: there is no filter named {node.name[:40]!a}"
        if isinstance(node, nodes.Test) and node.name not in environment.tests:
            yield f"line {node.lineno}: there is no test named {node.name[:40]!a}"
        yield from _unknown(environment, node)


class _Generation(Extension):
    """The tag around what training learns, which transformers adds to Jinja."""

    def __init__(self, environment: jinja2.Environment) -> None:
        super().__init__(environment)
        self.tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
