"""Who may know whom: a room knows only the rooms below it, no two modules know each other, families stay at home."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

IDGEN = Path(__file__).parents[1] / "idgen"

FLOORS = (
    "__init__", "errors", "suggestions", "installation", "yaml_files", "versions", "machine_faults", "scratch",
    "lru_cache", "values", "list_values", "column", "columns", "setting", "checks", "config", "schemas", "settings",
    "stores", "sources",
    "recipes", "weights",
    "outputs", "reviews", "manifest", "report",
    "faces", "networks", "adapters", "sampling",
    "actors", "pipeline",
    "tiny", "full_size", "benchmark",
    "command", "driver", "cli",
)  # fmt: skip
"""Rooms and single modules of idgen/, from the ground up. A new room is put in here, and in CONTRIBUTING's map."""

UPWARD_BY_TEXT = {"weights.locations": {"tiny.world", "tiny.drawn"}}
"""Module -> modules above it that it names in a text. The demo's worlds make weights with the rooms above weights/; the
table of schemes must hold in every process, and so nobody above can fill it."""
FAMILIES = ("sd15", "sdxl", "kolors")
PARTS = ("encoder_hid_dim_type", "encoder_hid_proj", "cross_attention_dim", "down_blocks", "mid_block")
"""What only a UNet has."""
AT_HOME = ("sampling/families/", "recipes/", "tiny/", "full_size/")
"""Where a base family may be named: its own room, recipes, and the rooms that make weights of every family."""


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(IDGEN.rglob("*.py")):
        yield ".".join(path.relative_to(IDGEN).with_suffix("").parts).removesuffix(".__init__"), path


NAMES = dict(modules())


def imports(path: Path) -> set[str]:
    """Modules of idgen that a file imports, wherever in it, without `idgen.`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "idgen":
            room = node.module.removeprefix("idgen").lstrip(".")
            inside = {f"{room}.{alias.name}".lstrip(".") for alias in node.names}
            found |= {name if name in NAMES else room or "__init__" for name in inside}
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("idgen.") for alias in node.names if alias.name.startswith("idgen.")}
    return found


def imports_by_text(path: Path) -> set[str]:
    """Modules that a text names, as "idgen.driver.run:plan_job" does for import_module or `python -m`."""
    texts = {
        node.value.partition(":")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("idgen.")
    }
    return {text.removeprefix("idgen.") for text in texts} & NAMES.keys()


def floor(module: str) -> int:
    return FLOORS.index(module.split(".")[0])


@pytest.mark.parametrize(("module", "path"), modules(), ids=NAMES)
def test_a_module_knows_only_rooms_below_its_own(module, path):
    above = {name for name in imports(path) | imports_by_text(path) if floor(name) > floor(module)}
    assert above == UPWARD_BY_TEXT.get(module, set()), f"{module} knows rooms above it, or an exception has no use"


def test_no_two_modules_know_each_other_even_by_way_of_others():
    graph = {module: imports(path) - {module} for module, path in modules()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(reversed(error.args[1]))}")


def test_every_room_has_its_floor():
    assert {name.split(".")[0] for name in NAMES} == set(FLOORS)


def words(path: Path) -> Iterator[tuple[int, str]]:
    """Names in a file, and texts that are one; messages and docstrings may say what they are about."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.lineno, node.value
        for field in ("id", "attr", "name", "arg"):
            if isinstance(word := getattr(node, field, None), str) and not isinstance(node, ast.alias):
                yield node.lineno, word


@pytest.mark.parametrize(
    "path", [path for path in NAMES.values() if not str(path.relative_to(IDGEN)).startswith(AT_HOME)], ids=str
)
def test_no_code_outside_the_families_room_names_a_family(path):
    named = [
        f"line {line}: {word[:60]}" for line, word in words(path) if any(name in word.lower() for name in FAMILIES)
    ]
    assert not named


@pytest.mark.parametrize("path", [*(IDGEN / "sampling").glob("*.py"), *(IDGEN / "actors").glob("*.py")], ids=str)
def test_the_sampler_does_not_know_what_a_denoiser_is_made_of(path):
    text = path.read_text()
    assert not re.search(r"pipeline\.(unet|vae|transformer|text_encoder)", text)
    assert not {word for _, word in words(path)} & set(PARTS)
