"""What a name that nobody knows was probably meant to be."""

import difflib
from collections.abc import Collection

_LONGEST = 64
"""Longer words are no names: cells of a shifted CSV row, for which nothing is worth looking up."""


def suggestion(name: str, known: Collection[str]) -> str:
    """Return how a message goes on after an unknown name: with the nearest known one, or with all of them."""
    near = _near(name, known)
    return f", did you mean {near!r}?" if near else f"; there are: {', '.join(sorted(known))}"


def unknown_recipe(name: str, names: Collection[str]) -> str:
    """Say what recipe was probably meant by `name`, which is none of `names`; nothing of it is repeated.

    `names` are of the form `<recipe>` and `<recipe>@<base>` (only bases of the recipe's own family).
    """
    recipe, _, base = name.partition("@")
    plain = {known.partition("@")[0] for known in names}
    bases = {known.partition("@")[2] for known in names} - {""}
    if recipe not in plain:
        near = _near(recipe, plain)
        return f"did you mean {near}?" if near else f"there are {', '.join(sorted(plain))}"
    fitting = sorted(other for other in bases if f"{recipe}@{other}" in names)
    near = "" if base in bases else _near(base, fitting)
    if near:
        return f"did you mean {recipe}@{near}?"
    return f"{recipe} goes with the bases {', '.join(fitting)}" if fitting else f"no base goes with {recipe}"


def _near(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1) if len(name) <= _LONGEST else []
    return near[0] if near else ""
