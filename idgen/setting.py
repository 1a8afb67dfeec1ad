"""A setting of a job: a dataclass field with the text that `--help` and `--help-all` print."""

from collections.abc import Callable
from dataclasses import field
from typing import TypeVar, overload

_Value = TypeVar("_Value")


@overload
def doc(text: str, default: _Value) -> _Value:
    """Return a field with a fixed default."""


@overload
def doc(text: str, *, default_factory: Callable[[], _Value]) -> _Value:
    """Return a field whose default is made anew."""


def doc(text: str, default: object = None, *, default_factory: Callable[[], object] | None = None) -> object:
    """Return a dataclass field with its documentation; mutable defaults go in `default_factory`."""
    if default_factory is not None:
        return field(metadata={"doc": text}, default_factory=default_factory)
    return field(default=default, metadata={"doc": text})
