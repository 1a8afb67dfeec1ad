"""Merges settings before they are checked: a recipe, its base, and overrides."""

from collections.abc import Mapping

from idgen.errors import Exit, RunError

Layer = dict[str, object]
"""A file's settings as plain values, not yet checked."""


def changed(layer: Mapping[str, object], change: Mapping[str, object], where: str) -> Layer:
    """Return `layer` with the change laid over it; lists are replaced, tables are merged.

    In a list of named things (adapters, controls, base.loras) one is changed by its number or name:
    adapters.0.weights=…, adapters.faceid.weights=…. Raises RunError(USAGE), beginning with `where`, for another.
    """
    made = dict(layer)
    for key, part in change.items():
        there = made.get(key)
        if isinstance(part, Mapping) and isinstance(there, list):
            made[key] = _items_changed(there, part, f"{where}.{key}", key)
        elif isinstance(part, Mapping) and isinstance(there, Mapping):
            made[key] = changed(there, part, f"{where}.{key}")
        else:
            made[key] = part
    return made


def _items_changed(items: list[Layer], change: Mapping[str, object], where: str, what: str) -> list[Layer]:
    made = list(items)
    names = [str(item.get("name")) if isinstance(item, Mapping) else "" for item in items]
    for place, part in change.items():
        at = names.index(place) if place in names else int(place) if str(place).isdigit() else -1
        if not 0 <= at < len(made):
            there = f"{what} 0 to {len(made) - 1} ({', '.join(names)})" if made else f"no {what}"
            raise RunError(Exit.USAGE, f"{where}.{place}: the recipe has {there}")
        made[at] = changed(made[at], table(part, f"{where}.{place}"), f"{where}.{place}")
    return made


def table(value: object, where: str) -> Layer:
    """Return a table's settings; RunError(USAGE), beginning with `where`, for anything else."""
    if not isinstance(value, Mapping):
        raise RunError(Exit.USAGE, f"{where}: give settings, for example {where}.<setting>=<value>")
    return {str(key): part for key, part in value.items()}
