"""A device with little memory: torch fails here as it fails on a GPU that is full."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class MemoryLimit(TorchDispatchMode):
    """While it is entered, counts the bytes of the storages that operations make and that somebody still holds.

    Weights and what was made outside are not counted, nor what an operation needs inside of itself. For one thread.
    """

    def __init__(self, max_bytes=None):
        super().__init__()
        self.max_bytes = max_bytes
        self.live_bytes = 0
        self.peak_bytes = 0
        self.shortages = 0
        self._known = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Under inference mode operations come whole and are taken apart here."""
        kwargs = kwargs or {}
        with self:
            made = func.decompose(*args, **kwargs)
        if made is not NotImplemented:
            return made
        made = func(*args, **kwargs)
        given = {storage._cdata for storage in _storages((args, kwargs))}
        for storage in _storages(made):
            if storage._cdata not in given:
                self._count(storage)
        if self.max_bytes is not None and self.live_bytes > self.max_bytes:
            self.shortages += 1
            wanted = sum(storage.nbytes() for storage in _storages(made))
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {wanted} bytes\nof a pretended device")
        return made

    def _count(self, storage):
        number, size = storage._cdata, storage.nbytes()
        if number in self._known or not size:
            return
        self._known.add(number)
        weakref.finalize(storage, self._free, number, size)
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)

    def _free(self, number, size):
        self._known.discard(number)
        self.live_bytes -= size


def _storages(tree):
    return [one.untyped_storage() for one in tree_leaves(tree) if isinstance(one, torch.Tensor)]
