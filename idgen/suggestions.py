"""Suggestions for unknown names: what was probably meant."""

import difflib
from collections.abc import Collection, Sequence

_LONGEST = 64
"""Longer words are no names: cells of a shifted CSV row, for which nothing is worth looking up."""
_MOST = 3
"""More equally near names are not worth reading."""


def suggestion(name: str, known: Collection[str]) -> str:
    """Return how a message goes on after an unknown name: with the nearest known one, or with all of them."""
    near = _near(name, known)
    return (
        f", did you mean {_either([repr(one) for one in near])}?"
        if near
        else f"; there are: {', '.join(sorted(known))}"
    )


def unknown_recipe(name: str, names: Collection[str]) -> str:
    """Say which recipe was probably meant by the unknown `name`; the name itself is not repeated.

    `names` are of the form `<recipe>` and `<recipe>@<base>` (only bases of the recipe's own family).
    """
    recipe, _, base = name.partition("@")
    plain = {known.partition("@")[0] for known in names}
    bases = {known.partition("@")[2] for known in names} - {""}
    if recipe not in plain:
        near = _near(recipe, plain)
        return f"did you mean {_either(near)}?" if near else f"`jobs/weights.py list` shows all {len(plain)}"
    fitting = sorted(other for other in bases if f"{recipe}@{other}" in names)
    near = [] if base in bases else _near(base, fitting)
    if near:
        return f"did you mean {_either([f'{recipe}@{one}' for one in near])}?"
    return f"{recipe} works with the bases {', '.join(fitting)}" if fitting else f"no base works with {recipe}"


def _near(name: str, known: Collection[str]) -> list[str]:
    """Return the nearest known names, in order: several where none is nearer than the others."""
    if len(name) > _LONGEST:
        return []
    near = difflib.get_close_matches(name, known, n=max(len(known), 1))
    best = _likeness(name, near[0]) if near else 0.0
    return sorted(one for one in near if _likeness(name, one) == best)[:_MOST]


def _likeness(name: str, known: str) -> float:
    return difflib.SequenceMatcher(None, known, name).ratio()  # in the order that get_close_matches compares


def _either(names: Sequence[str]) -> str:
    return " or ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
