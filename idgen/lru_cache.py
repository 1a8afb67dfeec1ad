"""A bounded least-recently-used cache: what an actor keeps from batch to batch and from shard to shard."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Forgets what was not used for longest as soon as its values together are larger than `most`, in any unit.

    The newest is always kept: alone, a value may be larger than the bound. Who asks for it several times in a row would
    else make it anew each time.
    """

    def __init__(self, size_of: Callable[[V], int], most: int) -> None:
        self._size_of = size_of
        self._most = most
        self._size = 0
        self._entries: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return the value and keep it longer, or None."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def get_or_make(self, key: K, make: Callable[[], V]) -> V:
        """Return the value, made by `make` and kept where it is not there."""
        if key not in self._entries:
            value = make()
            self.put(key, value)
            return value
        self._entries.move_to_end(key)
        return self._entries[key]

    def put(self, key: K, value: V) -> None:
        """Keep the value, in the place of an older one, and forget others until all together fit."""
        if key in self._entries:
            self._size -= self._size_of(self._entries.pop(key))
        self._entries[key] = value
        self._size += self._size_of(value)
        while self._size > self._most and len(self._entries) > 1:
            self._size -= self._size_of(self._entries.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._size = 0
