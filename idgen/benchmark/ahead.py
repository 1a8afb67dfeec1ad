"""Writes the full-size random weights beside the first blocks: `python -m idgen.benchmark.ahead '{"recipes": …}'`."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from idgen.benchmark.processes import end, environment
from idgen.benchmark.recipes import words_for


@contextmanager
def written_ahead(recipes: Sequence[str], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Write what `recipes` load, in their order, in a process of its own that ends with the block.

    Whoever needs what is not there yet writes it too: files and folders appear whole.
    """
    task = json.dumps({"recipes": list(recipes), "folder": str(folder)})
    child = subprocess.Popen(
        [sys.executable, "-m", "idgen.benchmark.ahead", task],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        end(child)


def write(recipes: Sequence[str], folder: str) -> None:
    """Write them."""
    for recipe in recipes:
        words_for(recipe, "full", Path(folder))


if __name__ == "__main__":
    write(**json.loads(sys.argv[1]))
