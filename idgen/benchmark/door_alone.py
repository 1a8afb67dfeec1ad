"""The block door without Ray, where a package is missing: `python -m idgen.benchmark.door_alone '{"device": …, …}'`.

The sampler that actors run, without faces, store and ledger; what is known is written after each recipe.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from idgen.benchmark.door import PEOPLE, PRECISIONS
from idgen.benchmark.recipes import TINY, load
from idgen.benchmark.workloads import DOOR_RECIPES, TINY_SIDE_PX, TINY_STEPS
from idgen.errors import Code, RowError
from idgen.full_size.pictures import bucket_for, rows_for, same_but_people
from idgen.recipes.recipe import Dtype, Recipe
from idgen.sampling.memory import give_back_memory
from idgen.sampling.sampler import Sampler


def sample(device: str, out: str, recipes: Sequence[str] = DOOR_RECIPES) -> None:
    """Sample two people with each recipe in each precision; leave their figures in the file `out`."""
    found: dict[str, dict[str, object]] = {}
    for name in recipes:
        for precision in PRECISIONS:
            dtype: Dtype = "float16" if precision == "float16" else "bfloat16"
            found.setdefault(name, {})[precision] = _one(load(name, [TINY], dtype), device)
            Path(out).write_text(json.dumps(found))
            give_back_memory(torch.device(device))


def _one(recipe: Recipe, device: str) -> dict[str, object]:
    bucket = replace(bucket_for(recipe), width=TINY_SIDE_PX, height=TINY_SIDE_PX, num_inference_steps=TINY_STEPS)
    rows = same_but_people(rows_for(recipe, bucket, len(PEOPLE)))
    results = Sampler.load(recipe, lora_scale=recipe.defaults.lora_scale, device=device).sample(rows, bucket)
    pictures = [one.astype(np.float32) for one in results if not isinstance(one, RowError)]
    return {
        "pictures": len(results),
        "ok": len(pictures),
        "non_finite": sum(isinstance(one, RowError) and one.code == Code.NON_FINITE for one in results),
        "people_differ_levels": float(np.abs(pictures[0] - pictures[1]).mean()) if len(pictures) > 1 else None,
    }


if __name__ == "__main__":
    sample(**json.loads(sys.argv[1]))
