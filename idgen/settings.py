"""Reads the command line and YAML files into a `Config`. Recipes are read by recipes/book.py.

YAML files are merged, in order, into the dataclasses of config.py, then `key=value` words, which win wherever they
stand; an unknown key is an error that names the nearest known one. `${oc.env:…}` is not available: a config cannot read
the environment.
"""

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from idgen.config import Config
from idgen.errors import Exit, RunError
from idgen.yaml_files import explain, list_over_which, read_yaml

LITERAL_KEYS = (
    "manifest", "output", "reference", "prompt", "decisions", "select.where", "select.file", "review.by",
)  # fmt: skip
"""Text of people: never parsed as YAML, where `a: b` is a table, 0123 is 83 and ${…} reads other values."""
LITERAL_CELLS = "rerun.set."
"""The same for cells of the manifest: rerun.set.<column>."""

_DOTTED_NAME = re.compile(r"(overrides|base_overrides)\.([^.\[]+(?:\.[0-9][^.\[]*)+)(?=\.)")
"""A recipe's name with a version in it, as in overrides.pulid-v1.1.base: no setting of a recipe begins with a digit."""


def load_config(words: Sequence[str]) -> Config:
    """Return the configuration that `words` (YAML paths and key=value) describe; RunError(USAGE) when they do not."""
    OmegaConf.clear_resolver("oc.env")
    merged = OmegaConf.structured(Config)
    literal: dict[str, str] = {}
    layers: list[tuple[str, DictConfig]] = []
    try:
        for word in sorted(words, key=lambda word: "=" in word):  # files first
            key, equals, value = word.partition("=")
            if equals and (key in LITERAL_KEYS or key.startswith(LITERAL_CELLS)):
                literal[key] = value
                continue
            layers.append((word, OmegaConf.from_dotlist([_one_name(word)]) if equals else read_yaml(Path(word))))
            merged = OmegaConf.merge(merged, layers[-1][1])
        config = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise RunError(Exit.USAGE, explain(error)) from error
    except TypeError as error:  # by name or number what an earlier file has as a list
        raise RunError(Exit.USAGE, list_over_which(layers)) from error
    assert isinstance(config, Config)
    return _with_literals(config, literal)


def help_lines(shown: Collection[str] = (), cls: type = Config, prefix: str = "") -> Iterator[str]:
    """Yield two lines per key: name with default, meaning. `shown`: only these keys and sections, in their order."""
    if shown:
        for name in shown:
            yield from _help_of(name)
        return
    for field in dataclasses.fields(cls):
        default = field.default if field.default is not dataclasses.MISSING else _made(field)
        if dataclasses.is_dataclass(default):
            yield from help_lines((), type(default), f"{prefix}{field.name}.")
        else:
            shown = "" if default in ("", [], {}) else str(default)
            yield f"  {prefix}{field.name}={shown[:60]}\n      {field.metadata.get('doc', '')}"


def _help_of(name: str) -> Iterator[str]:
    """Yield the lines of one key, or of all keys of a section."""
    under = [lines for lines in help_lines() if lines.strip().startswith((f"{name}=", f"{name}."))]
    if not under:
        raise KeyError(name)
    yield from under


def to_plain(config: Config) -> dict[str, object]:
    """Return the configuration as plain dicts and lists, for runs/<run_id>/config.yaml."""
    plain = dataclasses.asdict(config)
    assert isinstance(plain, dict)
    return plain


def _one_name(word: str) -> str:
    key, equals, value = word.partition("=")
    return _DOTTED_NAME.sub(r"\1[\2]", key) + equals + value


def _made(field: "dataclasses.Field[object]") -> object:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else ""


def _with_literals(config: Config, literal: Mapping[str, str]) -> Config:
    changes: dict[str, Any] = {}
    cells: dict[str, str] = {}
    inner: dict[str, dict[str, str]] = {}
    for key, text in literal.items():
        room, dot, name = key.partition(".")
        if key.startswith(LITERAL_CELLS):
            cells[key.removeprefix(LITERAL_CELLS)] = text
        elif dot:
            inner.setdefault(room, {})[name] = text
        else:
            changes[key] = text
    for room, texts in inner.items():
        changes[room] = dataclasses.replace(getattr(config, room), **texts)
    if cells:
        changes["rerun"] = dataclasses.replace(config.rerun, set={**config.rerun.set, **cells})
    return dataclasses.replace(config, **changes)
