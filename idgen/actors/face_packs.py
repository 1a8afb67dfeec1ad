"""The face packs of a run's recipes on this node, each loaded when a face is first looked for."""

import threading
from typing import TYPE_CHECKING

from idgen import weights
from idgen.actors.facts import RunFacts
from idgen.actors.monitor import Monitor
from idgen.actors.recipe_faults import RecipeFaults
from idgen.config import FacesConfig
from idgen.recipes.recipe import FacePack

if TYPE_CHECKING:
    from idgen.faces.analysis import FaceAnalyser

SMALL_FACES = FacesConfig(min_face_px=10, warn_face_fraction=0.0)
"""How finished pictures are looked at, for the face pass and the checks. 10 px is FaceDetailer's drop size."""


class FacePacks:
    """Loads a pack once; any thread may ask for it."""

    def __init__(
        self, run: RunFacts, config: FacesConfig, num_cpus: float, monitor: Monitor, *, device: str = "cpu"
    ) -> None:
        """`num_cpus` is what the actor asks Ray for; the analysis uses as many threads, at least one.

        `device`: cpu | cuda.
        """
        self._run = run
        self._config = config
        self._device = device
        self._threads = max(1, int(num_cpus))
        self._faults = RecipeFaults(monitor)
        self._loaded: dict[FacePack, FaceAnalyser] = {}
        self._lock = threading.Lock()

    def get(self, pack: FacePack) -> "FaceAnalyser":
        """Return the loaded pack.

        Raises RunError when its files are missing, or others than the driver's, or onnxruntime lacks CUDA for it.
        Raises RowError(WEIGHTS_UNUSABLE) when they are no such pack.
        """
        with self._lock:
            if pack not in self._loaded:
                self._loaded[pack] = self._load(pack)
            return self._loaded[pack]

    def _load(self, pack: FacePack) -> "FaceAnalyser":
        from idgen.faces.analysis import FaceAnalyser  # seconds, and some processes never look for faces

        self._faults.refuse_known(pack)
        recipe = next(r for r in self._run.recipes.values() if r.face_pack == pack and weights.needs_face_pack(r))
        found = weights.face_pack_identity(recipe, cache=weights.hash_cache())
        weights.check_node(recipe, found, self._run.identities[recipe.name])
        folder = weights.locate(pack.weights)
        with self._faults.told(pack):
            return FaceAnalyser(
                folder,
                pack.det_size_px,
                pack.det_threshold,
                threads=self._threads,
                config=self._config,
                device=self._device,
            )
