"""Opens a run: where it writes, its name, which recipes it may use, what it reads."""

import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from idgen import weights
from idgen.checks.picture import Instrument
from idgen.config import Config
from idgen.driver.number_limits import check_numbers
from idgen.errors import Exit, RunError
from idgen.manifest.reading import read_staged
from idgen.outputs.run_folder import RunFolder
from idgen.recipes.book import load_recipes
from idgen.recipes.gates import check_run_gates
from idgen.recipes.hashes import recipe_hash
from idgen.recipes.recipe import Recipe
from idgen.stores.opening import open_store
from idgen.stores.protocol import ObjectStore
from idgen.suggestions import unknown_recipe
from idgen.weights.instruments import identity

SINGLE_OUTPUT = "output/single"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run of generate, rerun or plan."""

    id: str
    config: Config
    recipes: Mapping[str, Recipe]
    """All recipes that may be named; a recipe on a base is made when it is asked for."""
    hashes: "RecipeHashes"
    instruments: dict[Instrument, str]
    """sha256 of the networks that the checks measure with."""
    store: ObjectStore
    folder: RunFolder
    scratch: Path
    started_at: datetime
    started_s: float
    """On the monotonic clock."""

    def now_s(self) -> float:
        """Seconds since the run was opened."""
        return time.monotonic() - self.started_s

    @property
    def manifest_roots(self) -> list[str]:
        """Local folders that references may lie in although `sources.roots` does not name them. After the plan."""
        return self.roots_of(read_staged(self.scratch).folder)

    def roots_of(self, folder: str) -> list[str]:
        """Return manifest_roots of a manifest in `folder`."""
        roots = [] if "://" in folder else [folder]
        if self.config.reference and "://" not in self.config.reference:
            roots.append(str(Path(self.config.reference).resolve().parent))
        return roots

    def check_not_ended(self) -> None:
        """Raise RunError(USAGE) when a run of this id has ended well; one that did not may continue."""
        if self.folder.has_ended():
            raise RunError(Exit.USAGE, f"run {self.id} has ended: choose another run.id, or leave it out")


class RecipeHashes(Mapping[str, str]):
    """Recipe name -> hash. Weights are looked for, judged and hashed only for recipes that some row names."""

    def __init__(self, recipes: Mapping[str, Recipe]) -> None:
        self._recipes = recipes
        self.identities: dict[str, dict[str, str]] = {}
        """Of the recipes asked for so far: the sha256 of what each role loads; actors compare theirs."""

    def __getitem__(self, name: str) -> str:
        if name not in self.identities:
            identity = weights.identity(self._recipes[name], cache=weights.hash_cache())
            weights.check_parts(self._recipes[name])
            self.identities[name] = identity
        return recipe_hash(self._recipes[name], self.identities[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._recipes)

    def __len__(self) -> int:
        return len(self._recipes)


def open_run(config: Config, scratch: Path) -> Run:
    """Return a run that has written nothing yet. Raises RunError(USAGE) for what cannot work."""
    _check_words(config)
    check_numbers(config)
    check_run_gates(config.gates)
    config = _single_picture(config, scratch) if config.reference else config
    if not config.manifest:
        raise RunError(Exit.USAGE, "say what to make: manifest=<file>, or reference=<photo> prompt=<text>")
    if not config.output:
        raise RunError(Exit.USAGE, "say where the pictures go: output=<folder or s3://bucket/prefix>")
    _check_place(config)
    recipes = load_recipes(config)
    if config.recipe and config.recipe not in recipes:
        raise RunError(
            Exit.USAGE, f"recipe={config.recipe}: there is no such recipe; {unknown_recipe(config.recipe, recipes)}"
        )
    instruments = identity(config.checks, cache=weights.hash_cache())
    store = open_store(config.output)
    run_id = config.run.id or _new_id()
    folder = RunFolder(store, run_id, signature_parameters=config.sources.hidden_parameters)
    return Run(
        id=run_id,
        config=config,
        recipes=recipes,
        hashes=RecipeHashes(recipes),
        instruments=instruments,
        store=store,
        folder=folder,
        scratch=scratch,
        started_at=datetime.now(UTC),
        started_s=time.monotonic(),
    )


def _new_id() -> str:
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _single_picture(config: Config, scratch: Path) -> Config:
    """Make a manifest of one row, so that one picture takes the same way as a million."""
    reference = config.reference if "://" in config.reference else str(Path(config.reference).resolve())
    row = {"row_id": "single", "reference_uri": reference, "prompt": config.prompt or None}
    path = scratch / "single.parquet"
    pq.write_table(pa.table({name: pa.array([value], pa.string()) for name, value in row.items()}), path)
    return replace(config, manifest=str(path), output=config.output or SINGLE_OUTPUT)


def _check_words(config: Config) -> None:
    if config.prompt and not config.reference:
        raise RunError(
            Exit.USAGE, "prompt= is for one picture and needs reference=<photo>; a manifest has its own prompts"
        )
    if config.reference and "://" not in config.reference and not Path(config.reference).is_file():
        raise RunError(Exit.USAGE, f"reference={config.reference}: there is no such file")


def _check_place(config: Config) -> None:
    """A submitted job runs in a folder of Ray's that vanishes: nothing may be written there, and local addresses below
    it would give every submission other keys.
    """
    if not os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR"):
        return
    for name, place in (("output", config.output), ("manifest", config.manifest)):
        if "://" not in place and not os.path.isabs(place):
            raise RunError(Exit.USAGE, f"{name}={place} is relative: inside a Ray job give an absolute path or s3://")
