"""Random weights of full size in the official file layouts: what a recipe's real weights weigh, without the weights.

    words = full_size.write("instantid", Path("/scratch/full"))    # ["overrides.instantid.base.weights=/scratch/…", …]
    python jobs/generate.py recipe=instantid manifest=… output=… <words>

The pictures are noise; memory, time and sizes are those of the real weights (`make rehearsal` measures them).
"""

from idgen.full_size.sets import RECIPES as RECIPES
from idgen.full_size.sets import write as write
