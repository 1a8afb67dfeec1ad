"""What the actors of a run need to know; small, picklable, and without the libraries that only actors need."""

from dataclasses import dataclass, field

from idgen.checks.config import ChecksConfig
from idgen.checks.gates import GateSettings
from idgen.checks.picture import Instrument
from idgen.config import FacesConfig, ImagesConfig, SamplingConfig, SourcesConfig, TextsConfig
from idgen.outputs.run_log import keep_log
from idgen.recipes.recipe import Recipe
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
    checks: ChecksConfig = field(default_factory=ChecksConfig)
    instruments: dict[Instrument, str] = field(default_factory=dict)
    """Instrument that `checks` names -> sha256 of its network, as the driver has it."""

    def open(self, actor: str) -> ObjectStore:
        """Return the output's store, and keep this process's log under the actor's name in the run's folder."""
        store = open_store(self.output)
        keep_log(store, self.run_id, actor, self.signature_parameters)
        return store


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceSettings:
    """Settings for face actors only."""

    faces: FacesConfig
    sources: SourcesConfig
    roots: list[str]
    """Folders that may be read beside `sources.roots`: the manifest's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplerSettings:
    """Settings for sampling actors only."""

    sampling: SamplingConfig
    images: ImagesConfig
    gates: GateSettings = field(default_factory=dict)
    """The run's, over the recipes' own."""
    failed_texts: dict[str, str] = field(default_factory=dict)
    """Path of a text that could not be encoded ahead -> code."""
    rejected: frozenset[str] = frozenset()
    """Keys of the plan that people rejected: made again, they get no named copy."""
    thumbnail_px: int = 0
    """Width of the thumbnails that publishers write; 0 = none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextSettings:
    """Settings for text actors only."""

    texts: TextsConfig
    """Its num_gpus is a number."""
    device: str
    encoders: dict[str, str]
    """Text encoder -> a recipe that has it."""


def device_of(asked: str, num_gpus: float) -> str:
    """Return the device of an actor that asks Ray for `num_gpus`; `asked` is sampling.device or faces.device.

    Ray shows an actor its own GPUs alone, so "cuda", the first visible one, is another one in every actor. Whether
    the libraries see it is checked where the actor loads its first weights (sampling/devices.py, faces/providers.py).
    """
    if asked != "auto":
        return asked
    return "cuda" if num_gpus > 0 else "cpu"
