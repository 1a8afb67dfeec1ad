"""jobs/weights.py: list, check, fetch and convert."""

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from idgen import weights
from idgen.checks.config import NETWORK_SETTINGS
from idgen.command import HELP, main
from idgen.config import Config
from idgen.driver import checkpoint_conversion
from idgen.errors import Exit, RunError
from idgen.installation import job_command
from idgen.recipes.book import load_recipes
from idgen.recipes.recipe import Recipe
from idgen.suggestions import unknown_recipe
from idgen.weights import face_converting, fetching, instruments, layouts
from idgen.weights.hashes import HashCache
from idgen.weights.locations import fetch_command
from idgen.weights.roles import ONE_FILE, WeightPart, digest


def weights_main(about: str, words: list[str], settings: Collection[str] = ()) -> int:
    """Run the action that the first word names with the configuration of the others; return the exit code.

    `about` and `settings` are those of its help, as in `command.main`.
    """
    if any(word in HELP for word in words):
        return main(about, list_weights, words, settings)
    action = words[0] if words else ""
    if action not in ACTIONS:
        print(f"error: say what to do: {job_command('weights')} {' | '.join(ACTIONS)} [key=value …]", file=sys.stderr)
        return Exit.USAGE
    return main(about, ACTIONS[action], words[1:])


def list_weights(config: Config) -> int:
    """Print per recipe and base what it loads, what of it is here and how large, and what its owners allow."""
    for name, recipe, parts in _chosen(config):
        print(_heading(name, recipe, len(parts)))
        for part in parts:
            print(f"  {part.role:<26} {_size(part, recipe):>10}  {part.location}{_at(part)}")
    return Exit.OK


def check_weights(config: Config) -> int:
    """Print what is missing or wrong and the command that gets it; return OK, or USAGE when there is any."""
    hashes = HashCache(weights.hash_cache())
    faulty: dict[str, int] = {}
    for name, recipe, parts in _chosen(config):
        print(name)
        for part in parts:
            try:
                print(f"  {part.role:<26} ok       {_verdict(part, recipe, hashes)}")
            except RunError as error:
                print(f"  {part.role:<26} {_fault(part, error)}")
                faulty[name] = faulty.get(name, 0) + 1
    hashes.save()
    wrong = _check_instruments(config)
    for name, count in faulty.items():
        print(f"{name}: {count} missing or wrong; `{fetch_command(name)}` gets what is missing")
    return Exit.USAGE if faulty or wrong else Exit.OK


def _check_instruments(config: Config) -> int:
    """Print what the checks' own networks are; return how many are missing or wrong."""
    wrong = 0
    for name, location in instruments.locations(config.checks).items():
        try:
            print(f"{NETWORK_SETTINGS[name]:<28} ok       {instruments.said(name, location)}")
        except RunError as error:
            print(f"{NETWORK_SETTINGS[name]:<28} wrong    {error.message}")
            wrong += 1
    return wrong


def fetch_weights(config: Config) -> int:
    """Get what the named recipe lacks, then check it; return OK, or USAGE when something is still wrong."""
    if not config.recipe:
        raise RunError(Exit.USAGE, "say which recipe's weights to get: recipe=<name>, as `list` shows them")
    for name, recipe, parts in _chosen(config):
        print(_heading(name, recipe, len(parts)))
        for part in parts:
            if fetching.is_here(part, recipe):
                print(f"{part.role}: here, {_size(part, recipe)}")
                continue
            print(f"{part.role}: {part.location}{_at(part)}", flush=True)
            fetching.fetch(part, recipe, lambda line: print(line, flush=True))
    return check_weights(config)


def convert_weights(config: Config) -> int:
    """Write a .bin file's tensors as .safetensors, or OpenCV's face networks as those of a face pack."""
    source, target = config.weights.source, config.weights.target
    if not (source and target):
        raise RunError(Exit.USAGE, "say what: weights.source=<file.bin or hub id> weights.target=<file.safetensors>")
    if source.endswith(".onnx"):
        found = face_converting.convert_face_network(weights.locate(source), Path(target).expanduser())
        print(f"{target}: {found}, for a face pack; put its folder into face_pack.weights")
        return Exit.OK
    count = checkpoint_conversion.convert(weights.locate(source), Path(target).expanduser())
    print(f"{target}: {count} tensors, identical to those of {source}")
    print("The new file has another sha256: a recipe that uses it gets new keys, so all its pictures are made again.")
    return Exit.OK


ACTIONS: dict[str, Callable[[Config], int]] = {
    "list": list_weights,
    "check": check_weights,
    "fetch": fetch_weights,
    "convert": convert_weights,
}


def _chosen(config: Config) -> Iterator[tuple[str, Recipe, list[WeightPart]]]:
    """Yield name, recipe and parts: of the recipe asked for, or of every recipe, then every base once by itself."""
    recipes = load_recipes(config)
    if config.recipe:
        if config.recipe not in recipes:
            raise RunError(Exit.USAGE, f"recipe={config.recipe}: {unknown_recipe(config.recipe, recipes)}")
        recipe = recipes[config.recipe]
        yield config.recipe, recipe, weights.parts(recipe)
        return
    for name in recipes:
        if "@" not in name:
            yield name, recipes[name], weights.parts(recipes[name])
    for recipe in _bases(recipes).values():
        yield recipe.name, recipe, [part for part in weights.parts(recipe) if part.key.startswith("base.")]


def _bases(recipes: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """Return for each base one recipe on it, as the command that fetches needs one: what adds least of its own."""
    pairs: dict[str, list[str]] = {}
    for name in recipes:
        if "@" in name:
            pairs.setdefault(name.partition("@")[2], []).append(name)
    chosen = {
        base: min(names, key=lambda name: _burden(recipes[name.partition("@")[0]]))
        for base, names in sorted(pairs.items())
    }
    return {base: replace(recipes[name], title=f"base {base}") for base, name in chosen.items()}


def _burden(recipe: Recipe) -> tuple[bool, int, str]:
    return not recipe.licence.commercial_use, len(recipe.controls), recipe.name


def _heading(name: str, recipe: Recipe, parts: int) -> str:
    licence = recipe.licence
    use = "commercial use allowed" if licence.commercial_use else "NOT for commercial use"
    if licence.commercial_use and licence.registration:
        use += f" after registration with {', '.join(licence.registration)}"
    size = f"; {recipe.download_gb:g} GB to download besides the base" if recipe.download_gb and "@" not in name else ""
    return f"{name}: {recipe.title}\n  {licence.name}: {use}; {parts} part{'s' * (parts != 1)}{size}"


def _verdict(part: WeightPart, recipe: Recipe, hashes: HashCache) -> str:
    found = layouts.check_layout(part, recipe)
    sha256 = digest(part, recipe, hashes)
    pinned = " as pinned" if part.sha256 else ""
    return f"{found}, {_size(part, recipe)}, sha256 {sha256 if part.kind in ONE_FILE else sha256[:12]}{pinned}"


def _fault(part: WeightPart, error: RunError) -> str:
    """Say what is wrong with a part: that it is missing, or what is wrong with the file."""
    try:
        weights.locate(part.location, part.revision)
    except RunError:
        return f"missing  {part.location}{_at(part)}"
    return f"wrong    {error.message}"


def _size(part: WeightPart, recipe: Recipe) -> str:
    try:
        total = sum(path.stat().st_size for _, path in weights.files_of(part, recipe))
    except RunError:
        return "missing"
    return f"{total / 1e9:.3f} GB"


def _at(part: WeightPart) -> str:
    return f" at {part.revision}" if part.revision else ""
