"""Weights in prompts, as most tools spell them."""

import pytest

from idgen.recipes.prompt_weights import parse


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("a red shirt", [("a red shirt", 1)]),
        ("", []),
        ("a (red:1.3) shirt", [("a ", 1), ("red", 1.3), (" shirt", 1)]),
        ("a (red) shirt", [("a ", 1), ("red", 1.1), (" shirt", 1)]),
        ("a ((red)) shirt", [("a ", 1), ("red", 1.21), (" shirt", 1)]),
        ("a [red] shirt", [("a ", 1), ("red", 1 / 1.1), (" shirt", 1)]),
        ("([red]:2)", [("red", 2 / 1.1)]),
        ("(a (b:2):3)", [("a ", 3), ("b", 6)]),
        ("((b:2) a : .5)", [("b", 1), (" a", 0.5)]),
        ("(a:1.0) b", [("a b", 1)]),
        ("(a:0)", [("a", 0)]),
        (r"smile \(red:1.3\) \[x\]", [("smile (red:1.3) [x]", 1)]),
        ("a) b ( c ] [", [("a) b ( c ] [", 1)]),
        ("(a [b)", [("(a [b)", 1)]),
        ("(a [b) c]", [("(a ", 1), ("b) c", 1 / 1.1)]),
        (r"C:\shirts", [(r"C:\shirts", 1)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("()", []),
        ("a (16:9) print", [("a (16:9) print", 1)]),
        ("(EU: 38) (waist: 32)", [("(EU: 38) (waist: 32)", 1)]),
        ("(ratio 3:4)", [("(ratio 3:4)", 1)]),
        ("((a:9):9)", [("a", 10)]),
        ("(a:" + "9" * 400 + ")", [("(a:" + "9" * 400 + ")", 1)]),
    ],
)
def test_a_prompt_is_parted_as_its_brackets_say(prompt, parts):
    found = parse(prompt)
    assert [text for text, _ in found] == [text for text, _ in parts]
    assert [weight for _, weight in found] == pytest.approx([weight for _, weight in parts])


def test_thousands_of_brackets_take_no_stack_and_weigh_at_most_ten():
    assert parse("(" * 2000 + "a" + ")" * 1999) == [("(", 1), ("a", 10)]
