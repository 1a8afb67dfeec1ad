"""The rehearsal: every family through the real job on random weights of full size, on the CPU, at 256 px and 2 steps.

    python -m idgen.full_size FOLDER [recipe …]

Needs a folder with 30 GB of room and 24 GB of memory, takes about 30 minutes. Per recipe the weights are written,
listed, loaded in processes of their own (probe.py), run by jobs/generate.py, and removed. Prints a row per recipe, and
JSON.
"""

import json
import shutil
import sys
from pathlib import Path

from idgen.full_size import sets
from idgen.full_size.rehearsal import rehearse, row, titles

FAMILIES = ("faceid-plusv2-sd15", "faceid-sdxl", "instantid", "ecomid-inpaint", "kolors-faceid-plus")
"""In an order in which neighbours share a base."""


def main(words: list[str]) -> int:
    """Run the rehearsal; return 0 when every recipe kept its promises."""
    if not words or set(words[1:]) - set(sets.RECIPES):
        print(__doc__, f"Recipes: {' '.join(sets.RECIPES)}", file=sys.stderr)
        return 2
    folder, chosen = Path(words[0]).absolute(), words[1:] or list(FAMILIES)
    found = []
    for number, recipe in enumerate(chosen):
        found.append(rehearse(recipe, folder))
        print(json.dumps(found[-1]), flush=True)
        kept = (
            {sets.PARTS[part][0] for part in sets.RECIPES[chosen[number + 1]].values()} if chosen[number + 1 :] else {}
        )
        for place in {sets.PARTS[part][0] for part in sets.RECIPES[recipe].values()}.difference(kept):
            path = folder / place
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    print(*titles(), *(row(one) for one in found), sep="\n")
    return 0 if all(one["kept"] for one in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
