"""The rehearsal: every family through the real job on random weights of full size, on the CPU, at 256 px and 2 steps.

    python -m idgen.full_size FOLDER [recipe …]

Needs a folder with 30 GB of room and 24 GB of memory, takes about 30 minutes. Per recipe the weights are written,
listed, loaded in processes of their own (probe.py), run by jobs/generate.py, and removed; all of it in a new folder
inside of FOLDER, which goes at the end. Prints a row per recipe, and JSON.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from idgen.full_size import sets
from idgen.full_size.rehearsal import Found, rehearse, row, titles

FAMILIES = ("faceid-plusv2-sd15", "faceid-sdxl", "instantid", "ecomid-inpaint", "kolors-faceid-plus")
"""In an order in which neighbours share a base."""


def main(words: list[str]) -> int:
    """Run the rehearsal; return 0 when every recipe kept its promises."""
    if not words or set(words[1:]) - set(sets.RECIPES):
        print(__doc__, f"Recipes: {' '.join(sets.RECIPES)}", file=sys.stderr)
        return 2
    folder, chosen = Path(words[0]).absolute(), words[1:] or list(FAMILIES)
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="rehearsal-", dir=folder))  # nothing else is ever removed
    try:
        found = [_rehearsed(recipe, chosen[number + 1 :], scratch) for number, recipe in enumerate(chosen)]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(*titles(), *(row(one) for one in found), sep="\n")
    return 0 if all(one["kept"] for one in found) else 1


def _rehearsed(recipe: str, later: list[str], scratch: Path) -> Found:
    """Rehearse one recipe and remove what the next one does not load; a recipe that fails costs only itself."""
    try:
        found = rehearse(recipe, scratch)
    except (OSError, RuntimeError, subprocess.SubprocessError, KeyError) as error:
        found = {"recipe": recipe, "kept": False, "reason": f"{type(error).__name__}: {error}"}
    print(json.dumps(found), flush=True)
    kept = {sets.PARTS[part][0] for part in sets.RECIPES[later[0]].values()} if later else set()
    for place in {sets.PARTS[part][0] for part in sets.RECIPES[recipe].values()} - kept:
        path = scratch / place
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
