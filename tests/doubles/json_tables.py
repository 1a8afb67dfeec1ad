"""Tables of a JSON document."""

from collections.abc import Iterator


def tables(part: dict, at: str = "") -> Iterator[tuple[str, set[str]]]:
    """Yield where every table of a document stands, and its keys."""
    yield at, set(part)
    for name, value in part.items():
        if isinstance(value, dict):
            yield from tables(value, f"{at}.{name}" if at else name)
