"""The face packs of a run's recipes on this node, each loaded when a face is first looked for."""

from idgen import weights
from idgen.actors.facts import RunFacts
from idgen.config import FacesConfig
from idgen.faces.analysis import FaceAnalyser
from idgen.recipes import FacePack


class FacePacks:
    """Loads a pack once, on the CPU; for one thread at a time."""

    def __init__(self, run: RunFacts, config: FacesConfig, num_cpus: float) -> None:
        """`num_cpus` is what the actor asks Ray for; the analysis uses as many threads, at least one."""
        self._run = run
        self._config = config
        self._threads = max(1, int(num_cpus))
        self._loaded: dict[FacePack, FaceAnalyser] = {}

    def get(self, pack: FacePack) -> FaceAnalyser:
        """Return the loaded pack. Raises RunError when its files are missing, or others than the driver's."""
        if pack not in self._loaded:
            recipe = next(r for r in self._run.recipes.values() if r.face_pack == pack and weights.needs_face_pack(r))
            found = weights.face_pack_identity(recipe, cache=weights.hash_cache())
            weights.check_node(recipe, found, self._run.identities[recipe.name])
            folder = weights.locate(pack.weights)
            self._loaded[pack] = FaceAnalyser(
                folder, pack.det_size_px, pack.det_threshold, threads=self._threads, config=self._config
            )
        return self._loaded[pack]
