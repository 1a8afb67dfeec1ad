"""The gates of a recipe: its checks' bounds, the recipe's, the run's; and what of them is in a key."""

from collections.abc import Callable, Collection, Iterable, Mapping

from idgen.checks import gates
from idgen.checks.config import NETWORK_SETTINGS
from idgen.checks.gates import Gate, GateSettings
from idgen.checks.picture import Instrument
from idgen.checks.table import COLUMN_OF
from idgen.errors import Exit, RunError
from idgen.recipes.recipe import Recipe

_LIKENESS = "face_similarity"


def faults(recipe: Recipe) -> Iterable[str]:
    """Yield what is wrong with `recipe.gates` and `recipe.rank_by`, in words that begin with the setting."""
    yield from gates.faults(recipe.gates, COLUMN_OF)
    if recipe.rank_by not in (ranked := [name for name, column in COLUMN_OF.items() if column.better]):
        yield f"rank_by: {recipe.rank_by!r} must be one of {', '.join(ranked)}"


def check_run_gates(run_gates: GateSettings) -> None:
    """Raise RunError(USAGE) for `gates` of the run's configuration that name no check or no bound."""
    for fault in gates.faults(run_gates, COLUMN_OF):
        raise RunError(Exit.USAGE, fault)


def gates_for(recipe: Recipe, run_gates: GateSettings) -> dict[str, Gate]:
    """Return the bounds that pictures of `recipe` are judged by.

    Likeness below what its own face pack takes for the same person gets a warning: the pack's figure, as cosines of
    different recognisers are not the same.
    """
    own: GateSettings = {_LIKENESS: {"warn": recipe.face_pack.same_person_cosine}}
    return gates.gates_of([own, recipe.gates, run_gates], COLUMN_OF)


def policy_of(
    recipe: Recipe, bounds: Mapping[str, Gate], networks: Mapping[Instrument, str], *, white: bool = False
) -> dict[str, object]:
    """Return what decides which of several tries is kept; {} where nothing is ever held, so that one try is enough.

    `networks` are the run's own that measure pictures, with the sha256 of each. `white`: whether the row asks for a
    white ground; it is told only where a measure of the ground decides or ranks. Raises RunError(USAGE) for a bound on
    a measure of a network that the run does not name: it would let everything pass.
    """
    deciding = gates.deciding(bounds)
    if not deciding:
        return {}
    columns = [COLUMN_OF[name] for name in (*deciding, recipe.rank_by)]
    used = {column.network for column in columns if column.network}
    for network, setting in NETWORK_SETTINGS.items():
        if network in used and network not in networks:
            raise RunError(
                Exit.USAGE,
                f"recipe {recipe.name}: a gate holds pictures by a measure that nothing takes; set {setting}, or the "
                "gate's bound to null",
            )
    files = {name: digest for name, digest in networks.items() if name in used}
    policy: dict[str, object] = {"reject": deciding, "rank_by": recipe.rank_by}
    if files:
        policy["networks"] = files
    if any(column.of_white for column in columns):
        policy["white_ground"] = white
    return policy


def policies(
    run_gates: GateSettings, networks: Mapping[Instrument, str], white_shots: Collection[str]
) -> Callable[[Recipe, str], dict[str, object]]:
    """Return what says of a recipe and a row's `shot` the policy in a run; the arguments are the run's."""

    def policy(recipe: Recipe, shot: str) -> dict[str, object]:
        """Return the policy; raises as `policy_of`."""
        white = asks_white(recipe, shot, white_shots)
        return policy_of(recipe, gates_for(recipe, run_gates), networks, white=white)

    return policy


def asks_white(recipe: Recipe, shot: str, white_shots: Collection[str]) -> bool:
    """Whether a picture is asked for on a white ground; `white_shots` are the run's `checks.white_ground.shots`."""
    return recipe.white_ground or shot in white_shots
