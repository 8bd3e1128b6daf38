"""A grammar that is not written as it must be is refused by its line; the others mean what they say."""

import pytest

from parfocal.engine import ConstraintRefused
from parfocal.engine.constraints.gbnf import read_grammar
from parfocal.engine.constraints.productions import Characters, Either, Name, Repeat, Series


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
        read_grammar(grammar)

    assert says in str(refused.value)


def test_a_grammar_is_read_as_it_is_written() -> None:
    a, b = (Characters(((ord(one), ord(one)),)) for one in "ab")
    grammar = 'root ::= "ab"* [a-c\\]^-]{2} . # all\n\nlist ::= root?\n'

    assert read_grammar(grammar).rules == {
        "root": Series(
            (
                Repeat(Series((a, b)), 0, None),
                Repeat(Characters(((0x2D, 0x2D), (0x5D, 0x5D), (0x5E, 0x5E), (0x61, 0x63))), 2, 2),
                Characters(((0, 0x10FFFF),)),
            )
        ),
        "list": Repeat(Name("root"), 0, 1),
    }


def test_a_negated_set_is_all_the_others() -> None:
    assert read_grammar("root ::= [^b-d\\x63z]").rules["root"] == Characters(
        ((0, 0x61), (0x65, 0x79), (0x7B, 0x10FFFF))
    )


def test_rules_may_go_over_lines_where_something_must_follow() -> None:
    a, b = (Series((Characters(((ord(one), ord(one)),)),)) for one in "ab")

    assert read_grammar('root ::=\n "a" |\n ( "b"\n | )\nother ::= root').rules == {
        "root": Either((a, Either((b, Series(()))))),
        "other": Name("root"),
    }
