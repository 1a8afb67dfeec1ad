"""What every actor of a run is told; small and picklable."""

from dataclasses import dataclass

from idgen.outputs.run_log import keep_log
from idgen.recipes import Recipe
from idgen.stores.opening import open_store
from idgen.stores.protocol import ObjectStore


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """The run as its actors see it."""

    output: str
    run_id: str
    recipes: dict[str, Recipe]
    identities: dict[str, dict[str, str]]
    """Recipe -> role -> sha256 of the weights that the keys name."""
    signature_parameters: list[str]

    def open(self, actor: str) -> ObjectStore:
        """Return the output's store, and keep this process's log under the actor's name in the run's folder."""
        store = open_store(self.output)
        keep_log(store, self.run_id, actor, self.signature_parameters)
        return store


def torch_device(asked: str, num_gpus: float) -> str:
    """Return the torch device of an actor that asks Ray for `num_gpus`; `asked` is sampling.device."""
    if asked != "auto":
        return asked
    return "cuda" if num_gpus > 0 else "cpu"
