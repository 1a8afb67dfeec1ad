"""A table that forgets: what an actor keeps from shard to shard, bounded in bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Forgets what was not used for longest as soon as its values together are larger than `max_bytes`."""

    def __init__(self, size_of: Callable[[V], int], max_bytes: int) -> None:
        self._size_of = size_of
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return the value and keep it longer, or None."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def put(self, key: K, value: V) -> None:
        """Keep the value, in the place of an older one; one that is larger than the whole bound is not kept."""
        if key in self._entries:
            self._bytes -= self._size_of(self._entries.pop(key))
        self._entries[key] = value
        self._bytes += self._size_of(value)
        while self._bytes > self._max_bytes:
            self._bytes -= self._size_of(self._entries.popitem(last=False)[1])
