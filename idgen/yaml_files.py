"""YAML files as OmegaConf reads them, and what it says when they are wrong in words for people."""

from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from idgen.errors import Exit, RunError


def read_yaml(path: Path) -> DictConfig:
    """Return the file's table of settings. Raises RunError(USAGE): not there, no YAML, no table."""
    try:
        layer = OmegaConf.load(path)
    except FileNotFoundError as error:
        raise RunError(Exit.USAGE, f"no such file: {path} (settings are written key=value)") from error
    except (OSError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise RunError(Exit.USAGE, f"cannot read {path}: {error}") from error
    if not isinstance(layer, DictConfig):
        raise RunError(Exit.USAGE, f"{path} does not hold a table of settings")
    return layer


def explain(error: Exception) -> str:
    """Return the first line of what OmegaConf says (it suggests the nearest key itself) with the key's full name."""
    text = str(error).splitlines()[0]
    key = getattr(error, "full_key", "") or ""
    return f"{key}: {text}" if key and key not in text else text
