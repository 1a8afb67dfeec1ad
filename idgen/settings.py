"""Command line -> `Config`, and recipe files -> `Recipe`: the only place where OmegaConf is used.

YAML files and `key=value` words are merged, in order, into the dataclasses of config.py; an unknown key is an error
that names the nearest known one. `${oc.env:…}` is not available: a config cannot read the environment.
"""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from idgen.config import Config
from idgen.errors import Exit, RunError
from idgen.manifest.columns import BY_NAME
from idgen.recipes import Recipe

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
LITERAL_KEYS = ("manifest", "output", "reference", "prompt", "select.where", "select.file")
"""Text of people: never parsed as YAML, where `a: b` is a table, 0123 is 83 and ${…} reads other values."""


def load_config(words: Sequence[str]) -> Config:
    """Return the configuration that `words` (YAML paths and key=value) describe; RunError(USAGE) when they do not."""
    OmegaConf.clear_resolver("oc.env")
    merged = OmegaConf.structured(Config)
    literal: dict[str, str] = {}
    try:
        for word in words:
            key, equals, value = word.partition("=")
            if equals and key in LITERAL_KEYS:
                literal[key] = value
            else:
                layer = OmegaConf.from_dotlist([word]) if equals else _read_yaml(Path(word))
                merged = OmegaConf.merge(merged, layer)
        config = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise RunError(Exit.USAGE, _explain(error)) from error
    except TypeError as error:  # a.0.b=… where an earlier file has a list under a
        raise RunError(Exit.USAGE, "a list of an earlier file is replaced whole: write key=[…]") from error
    assert isinstance(config, Config)
    return _with_literals(config, literal)


def load_recipes(config: Config) -> dict[str, Recipe]:
    """Return every recipe of the recipes folder, changed as `config.overrides` says.

    An override may name a new recipe if it says which one it is `like`. Raises RunError(USAGE) for a bad file or key.
    """
    folder = Path(config.recipes_dir) if config.recipes_dir else CONFIGS / "recipes"
    layers = {path.stem: _read_yaml(path) for path in sorted(folder.glob("*.yaml"))}
    if not layers:
        raise RunError(Exit.USAGE, f"no recipe files in {folder}: set recipes_dir")
    for name, override in config.overrides.items():
        change = dict(override)
        like = str(change.pop("like", name))
        if like not in layers:
            raise RunError(Exit.USAGE, f"overrides.{name}: no recipe {like!r}{_nearest(like, layers)}")
        layers[name] = OmegaConf.merge(layers[like], _indexed(layers[like], change))
    return {name: _to_recipe(name, layer) for name, layer in layers.items()}


def _indexed(layer: DictConfig, change: dict[str, Any]) -> dict[str, Any]:
    """Return the change with `adapters.0.weights=…` (a table by number) turned into the list it means."""
    numbered = change.get("adapters")
    if not isinstance(numbered, Mapping):
        return change
    adapters = OmegaConf.to_container(layer.get("adapters") or OmegaConf.create([]))
    assert isinstance(adapters, list)
    for number, part in numbered.items():
        if not str(number).isdigit() or int(str(number)) >= len(adapters):
            raise RunError(Exit.USAGE, f"adapters.{number}: the recipe has adapters 0 to {len(adapters) - 1}")
        adapters[int(str(number))] |= dict(part)
    return {**change, "adapters": adapters}


def help_lines(cls: type = Config, prefix: str = "") -> Iterator[str]:
    """Yield one line per configuration key: name, default, meaning."""
    for field in dataclasses.fields(cls):
        default = field.default if field.default is not dataclasses.MISSING else _made(field)
        if dataclasses.is_dataclass(default):
            yield from help_lines(type(default), f"{prefix}{field.name}.")
        else:
            shown = "" if default in ("", [], {}) else str(default)
            yield f"  {prefix}{field.name}={shown[:60]}\n      {field.metadata.get('doc', '')}"


def to_plain(config: Config) -> dict[str, Any]:
    """Return the configuration as plain dicts and lists, for runs/<run_id>/config.yaml."""
    plain = dataclasses.asdict(config)
    assert isinstance(plain, dict)
    return plain


def _made(field: "dataclasses.Field[Any]") -> Any:  # noqa: ANN401
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else ""


def _read_yaml(path: Path) -> DictConfig:
    try:
        layer = OmegaConf.load(path)
    except FileNotFoundError as error:
        raise RunError(Exit.USAGE, f"no such file: {path} (settings are written key=value)") from error
    except (OSError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise RunError(Exit.USAGE, f"cannot read {path}: {error}") from error
    if not isinstance(layer, DictConfig):
        raise RunError(Exit.USAGE, f"{path} does not hold a table of settings")
    return layer


def _to_recipe(name: str, layer: DictConfig) -> Recipe:
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Recipe), layer, {"name": name})
        recipe = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise RunError(Exit.USAGE, f"recipe {name}: {_explain(error)}") from error
    assert isinstance(recipe, Recipe)
    names = [adapter.name for adapter in recipe.adapters]
    if len(set(names)) < len(names) or "" in names:
        raise RunError(Exit.USAGE, f"recipe {name}: adapters need names of their own, there are {names}")
    for column in recipe.columns:
        if column not in BY_NAME:
            raise RunError(Exit.USAGE, f"recipe {name}: no manifest column {column!r}{_nearest(column, BY_NAME)}")
    return recipe


def _with_literals(config: Config, literal: Mapping[str, str]) -> Config:
    top = {key: value for key, value in literal.items() if "." not in key}
    select = {key.partition(".")[2]: value for key, value in literal.items() if "." in key}
    return dataclasses.replace(config, select=dataclasses.replace(config.select, **select), **top)  # type: ignore[arg-type]


def _explain(error: Exception) -> str:
    """First line of what OmegaConf says (it already suggests the nearest key) with the key's full name."""
    text = str(error).splitlines()[0]
    key = getattr(error, "full_key", "") or ""
    return f"{key}: {text}" if key and key not in text else text


def _nearest(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {near[0]!r}?" if near else f"; there are: {', '.join(sorted(known))}"
