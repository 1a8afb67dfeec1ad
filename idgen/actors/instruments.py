"""What an actor measures finished pictures with; each network is loaded when it is first needed, and kept.

Loading is left to the publishing threads: the sampling thread has a GPU to keep busy.
"""

import threading
from typing import TYPE_CHECKING

from idgen import weights
from idgen.actors.face_packs import FacePacks
from idgen.actors.facts import RunFacts
from idgen.checks.instruments import Instruments
from idgen.recipes.recipe import Recipe
from idgen.weights.instruments import locations, node_network

if TYPE_CHECKING:
    from idgen.checks.safety_model import SafetyModel
    from idgen.faces.judge import Judge


class MeasuringNetworks:
    """The judge and the safety model of a run on this node; any thread may ask for them.

    `judge` and `safety` raise RunError when the file is missing here, another one than the driver's, or does not load.
    """

    def __init__(self, run: RunFacts, num_cpus: float) -> None:
        """`num_cpus` is what the actor asks Ray for; a network uses as many threads, at least one."""
        self._run = run
        self._places = locations(run.checks)
        self._threads = max(1, int(num_cpus))
        self._lock = threading.Lock()
        self._judge: Judge | None = None
        self._safety: SafetyModel | None = None

    @property
    def has_judge(self) -> bool:
        """Whether the run names a judge."""
        return "judge" in self._places

    def judge(self) -> "Judge":
        """Return the loaded judge."""
        from idgen.faces.judge import Judge  # seconds, and most runs have none

        with self._lock:
            if self._judge is None:
                file = node_network("judge", self._places["judge"], self._run.instruments, cache=weights.hash_cache())
                self._judge = Judge(file, threads=self._threads)
            return self._judge

    def safety(self) -> "SafetyModel":
        """Return the loaded safety model."""
        from idgen.checks.safety_model import SafetyModel  # brings onnxruntime

        with self._lock:
            if self._safety is None:
                file = node_network("safety", self._places["safety"], self._run.instruments, cache=weights.hash_cache())
                self._safety = SafetyModel(file, threads=self._threads)
            return self._safety

    def of(self, recipe: Recipe, packs: FacePacks) -> Instruments:
        """Return the instruments for pictures of `recipe`; faces are found with its own pack, if it has one."""
        return Instruments(
            finder=(lambda: packs.get(recipe.face_pack)) if weights.needs_face_pack(recipe) else None,
            judge=self.judge if self.has_judge else None,
            safety=self.safety if "safety" in self._places else None,
        )
