"""Memory of processes as Linux counts it, and of what modules hold."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one process, in bytes."""

    private: int
    """RssAnon: its own, of no use to anybody else."""
    mapped: int
    """RssFile: pages of files it has mapped, libraries among them; the page cache has them once for all processes, and
    may drop them."""
    peak: int
    """VmHWM: the most that `private` and `mapped` ever were together."""

    @classmethod
    def of(cls, pid: int | str = "self") -> "Memory":
        """Return what a process holds now. Raises OSError when it is gone."""
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        kb = {name: int(lines[name].split()[0]) for name in ("RssAnon", "RssFile", "RssShmem", "VmHWM")}
        return cls(1024 * (kb["RssAnon"] + kb["RssShmem"]), 1024 * kb["RssFile"], 1024 * kb["VmHWM"])


def share(pid: int | str = "self") -> int:
    """Return a process's Pss: pages that several have are counted by their share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])


def forget_peak() -> None:
    """Let VmHWM of this process begin at what it holds now."""
    Path("/proc/self/clear_refs").write_text("5")


class Watch:
    """Looks at processes again and again in a thread and keeps the most that each held privately."""

    def __init__(self, find: Callable[[], Iterable[tuple[str, int]]]) -> None:
        """`find` returns name and pid of what to look at; the largest process of a name counts."""
        self.most_private: dict[str, int] = {}
        self.most_mapped: dict[str, int] = {}
        self.most: dict[str, int] = {}
        """VmHWM."""
        self._find = find
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_regularly, daemon=True)

    def __enter__(self) -> "Watch":
        self._look(self._find())
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look(self._find())

    def _look_regularly(self) -> None:
        found: list[tuple[str, int]] = []
        next_find_s = 0.0
        while not self._stop.wait(EVERY_S):
            if time.monotonic() > next_find_s:
                found, next_find_s = list(self._find()), time.monotonic() + 0.5
            self._look(found)

    def _look(self, found: Iterable[tuple[str, int]]) -> None:
        for name, pid in found:
            with suppress(OSError, KeyError):  # it has ended
                now = Memory.of(pid)
                self.most_private[name] = max(now.private, self.most_private.get(name, 0))
                self.most_mapped[name] = max(now.mapped, self.most_mapped.get(name, 0))
                self.most[name] = max(now.peak, self.most.get(name, 0))


@dataclass(frozen=True, slots=True)
class Held:
    """What modules hold, in bytes."""

    weights: int
    """All parameters and buffers, shared ones once."""
    mapped: int
    """Those of them that are pages of files: no copy of them is in the process."""


def held(modules: Iterable[nn.Module]) -> Held:
    """Return what `modules`, on the CPU, hold."""
    files = _mapped_files()
    sizes: dict[int, int] = {}
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            sizes[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
    mapped = sum(size for place, size in sizes.items() if any(start <= place < end for start, end in files))
    return Held(sum(sizes.values()), mapped)


def is_mapped(tensor: Tensor) -> bool:
    """Tell whether a tensor's bytes are pages of a file."""
    return any(start <= tensor.data_ptr() < end for start, end in _mapped_files())


def _mapped_files() -> list[tuple[int, int]]:
    """Return where this process has files mapped: (first address, the one behind the last)."""
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, _, rest = line.partition(" ")
        if "/" in rest:
            start, _, end = addresses.partition("-")
            found.append((int(start, 16), int(end, 16)))
    return found
