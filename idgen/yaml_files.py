"""Reads YAML files with OmegaConf, and explains in plain words what is wrong with them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from idgen.errors import Exit, RunError
from idgen.installation import CONFIGS


def read_yaml(path: Path) -> DictConfig:
    """Return the file's table of settings. Raises RunError(USAGE): not there, no YAML, no table."""
    try:
        layer = OmegaConf.load(_shipped(path))
    except FileNotFoundError as error:
        raise RunError(Exit.USAGE, f"no such file: {path} (settings are written key=value)") from error
    except (OSError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise RunError(Exit.USAGE, f"cannot read {path}: {error}") from error
    if not isinstance(layer, DictConfig):
        raise RunError(Exit.USAGE, f"{path} is not a table of settings")
    return layer


def _shipped(path: Path) -> Path:
    """Return where `path` is: a relative one in configs/ that is not here is that of the checkout or of the wheel."""
    if path.parts[:1] != ("configs",) or path.exists():
        return path
    shipped = CONFIGS.joinpath(*path.parts[1:])
    return shipped if shipped.is_file() else path


def explain(error: Exception) -> str:
    """Return the first line of what OmegaConf says (it suggests the nearest key itself) with the key's full name."""
    text = str(error).splitlines()[0]
    key = getattr(error, "full_key", "") or ""
    return f"{key}: {text}" if key and key not in text else text


def list_over_which(layers: Sequence[tuple[str, DictConfig]]) -> str:
    """Return in words why the last of `layers` (a file's name or key=value, its settings) does not go over the others.

    A setting that is a list in one of them, and by name (or number) in the last, cannot be merged.
    """
    (last, over), plain = layers[-1], [(name, OmegaConf.to_container(layer)) for name, layer in layers[:-1]]
    for name, layer in reversed(plain):
        key = _list_meets_table(layer, OmegaConf.to_container(over))
        if key:
            return (
                f"{key}: {name} gives it as a list, but {last} changes it by name; a list can only be replaced as a "
                f"whole: write it by name in {name} too ({key}: {{<name>: {{…}}}}), or as a list in {last}"
            )
    return (
        f"{last} changes by name what an earlier file gives as a list; a list can only be replaced as a whole: "
        "write key=[…]"
    )


def _list_meets_table(under: object, over: object, key: str = "") -> str:
    if isinstance(under, list) and isinstance(over, Mapping):
        return key
    if not (isinstance(under, Mapping) and isinstance(over, Mapping)):
        return ""
    parts = ((name, under[name], part) for name, part in over.items() if name in under)
    return next(filter(None, (_list_meets_table(a, b, f"{key}.{name}".strip(".")) for name, a, b in parts)), "")
