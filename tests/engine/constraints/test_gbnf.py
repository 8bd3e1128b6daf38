"""A grammar that is not written as it must be is refused by its line; the others mean what they say."""

import pytest

from parfocal.engine import ConstraintRefused
from parfocal.engine.constraints.gbnf import lark_of


@pytest.mark.parametrize(
    ("grammar", "says"),
    [
        ("", "line 1: there is no rule root; name the first rule so"),
        ('start ::= "a"', "there is no rule root"),
        ("root ::= a b\na ::= [0-9]", "line 1: there is no rule b; add it"),
        ('root ::= "a"\nroot ::= "b"', "line 2: there are two rules root; write them as one, with |"),
        ('root = "a"', """line 1: '= "a"' is not understood; write it as GBNF does"""),
        ('root "a"', """line 1: '"a"' stands where ::= after root must; correct the rule"""),
        ('root ::= ("a"', "line 1: the end of the line stands where a closing parenthesis must"),
        ('root ::= "a")', "line 1: ')' is out of place; begin a new line"),
        ("root ::= <|im_end|>", "line 1: <|im_end|> names a token; grammars are about text"),
        ('\n\nroot ::= "a"{99999}', "line 3: {99999} repeats more than 10000 times; write * or +"),
        ('root ::= "a"{3,2}', "{3,2} ends before it begins"),
        (r'root ::= "\q"', r"line 1: '\\q' is no escape"),
        (r'root ::= "\uD800"', "is no character"),
        ("root ::= [z-a]", "has a range that ends before it begins; turn it"),
        ("root ::= []", "has no characters"),
        ("root ::= " + "(" * 101 + '"a"' + ")" * 101, "more than 100 groups in one another; use rules"),
    ],
)
def test_a_fault_is_named_with_its_line_and_what_to_do(grammar: str, says: str) -> None:
    with pytest.raises(ConstraintRefused) as refused:
        lark_of(grammar)

    assert says in str(refused.value)


def test_every_lexeme_is_one_character() -> None:
    assert lark_of('root ::= "ab"* [a-c\\]^-] . # all\n') == (
        r"start: (/\x{61}/ /\x{62}/)* /[\x{61}-\x{63}\x{5D}\x{5E}\x{2D}]/ /[\x{0}-\x{10FFFF}]/"
    )


def test_rules_may_go_over_lines_where_something_must_follow() -> None:
    assert lark_of('root ::=\n "a" |\n ( "b"\n | )\nother ::= root') == (
        'start: (/\\x{61}/) | ((/\\x{62}/) | "")\nr1: start'
    )
