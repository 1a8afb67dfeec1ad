"""How many actors of each kind a cluster has room for, and what it lacks: counted node by node before anything runs.

An actor lives on one node: what two nodes have left over together helps nobody. No Ray here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from idgen.config import Config
from idgen.errors import Exit, RunError

Node = Mapping[str, float]
"""A node's resources by Ray's names: CPU, GPU."""

PROMPTS_PER_ACTOR = 1024
"""Loading a text encoder takes about as long as encoding that many prompts."""
ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """How many actors of one kind, and what one of them asks for."""

    actors: int
    """At most; fewer where a cluster has not grown yet."""
    at_least: int
    cpus: float
    gpus: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Pools:
    """The line's two."""

    faces: Pool
    sampling: Pool


def size_pools(config: Config, shards: int, nodes: Sequence[Node], later_gpus: float | None) -> Pools:
    """Return the line's pools for the `nodes` that are there.

    `later_gpus` is how many GPUs the cluster may come to have: 0 when it stays as it is, None when nobody knows, as
    with nodes that join by hand. Raises RunError(USAGE) for more than one GPU an actor.
    """
    _check_gpus(config)
    sampling = Pool(actors=1, at_least=1, cpus=config.sampling.num_cpus, gpus=config.sampling.num_gpus)
    faces = Pool(actors=1, at_least=1, cpus=config.faces.num_cpus, gpus=config.faces.num_gpus)
    there = _room(nodes, sampling, faces)
    useful = max(1, shards)
    actors = min(config.sampling.actors or max(1, there, _later(later_gpus, sampling.gpus, useful)), useful)
    at_least = actors if config.sampling.actors else min(max(1, there), actors)
    sampling = replace(sampling, actors=actors, at_least=at_least)
    # of nodes that nobody knows of, none is counted on here: face actors would take the CPUs that samplers wait for
    beside = actors if later_gpus else sampling.at_least
    most = min(config.faces.actors or (beside + 1) // 2, useful)
    at_first = min(most, config.faces.actors or _faces_beside(nodes, sampling, faces))
    return Pools(faces=replace(faces, actors=most, at_least=at_first), sampling=sampling)


def size_text_pool(config: Config, prompts: int, nodes: Sequence[Node], later_gpus: float | None) -> Pool:
    """Return the pool that encodes `prompts` prompts ahead, as `size_pools` does; nothing else runs beside it."""
    _check_gpus(config)
    texts, sampling = config.texts, config.sampling
    pool = Pool(
        actors=1,
        at_least=1,
        cpus=sampling.num_cpus if texts.num_cpus is None else texts.num_cpus,
        gpus=sampling.num_gpus if texts.num_gpus is None else texts.num_gpus,
    )
    useful = -(-prompts // PROMPTS_PER_ACTOR)
    there = max(1, _room(nodes, pool))
    actors = texts.actors or min(useful, max(there, _later(later_gpus, pool.gpus, useful)))
    return replace(pool, actors=actors, at_least=texts.actors or min(actors, there))


def missing(pools: Pools, nodes: Sequence[Node]) -> str:
    """Return what the nodes lack for the pools at their least, in words that say what to do, or ""."""
    faces, sampling = pools.faces, pools.sampling
    free = [dict(node) for node in nodes]
    placed = _place(sampling, free, sampling.at_least)
    if placed < sampling.at_least:
        return _missing_sampling(pools, nodes, placed)
    beside = _place(faces, free, faces.at_least)
    if beside == faces.at_least:
        return ""
    return (
        f"beside the sampling actors the cluster has room for {beside} of {faces.at_least} face actors, each with "
        f"{_wanted(faces)}: set faces.num_cpus, faces.num_gpus or sampling.num_cpus"
    )


def missing_texts(pool: Pool, nodes: Sequence[Node]) -> str:
    """As `missing`, for the pool that encodes prompts ahead."""
    placed = _place(pool, [dict(node) for node in nodes], pool.at_least)
    if placed == pool.at_least:
        return ""
    if placed:
        return f"the cluster has room for {placed} of {pool.at_least} text actors"
    return (
        f"no node has the {_wanted(pool)} of an actor that encodes prompts ahead: set texts.num_cpus or "
        "texts.num_gpus, or base.text=inline in the recipe"
    )


def _missing_sampling(pools: Pools, nodes: Sequence[Node], placed: int) -> str:
    sampling = pools.sampling
    gpus = sum(node.get("GPU", 0) for node in nodes)
    if sampling.at_least * sampling.gpus > gpus + ROUNDING:
        hint = " (on a machine without one: sampling.num_gpus=0)" if gpus == 0 else ""
        return f"the cluster has {gpus:g} GPUs, the sampling actors need {sampling.at_least * sampling.gpus:g}{hint}"
    cpus, need = sum(node.get("CPU", 0) for node in nodes), sampling.at_least * sampling.cpus
    if need > cpus + ROUNDING:
        return f"the cluster has {cpus:g} CPUs, the sampling actors need {need:g}: set sampling.num_cpus"
    if placed:
        return (
            f"the cluster's nodes have room for {placed} of {sampling.at_least} sampling actors ({_wanted(sampling)})"
        )
    return (
        f"no single node has the {_wanted(sampling)} of one sampling actor: set sampling.num_cpus or sampling.num_gpus"
    )


def _room(nodes: Sequence[Node], pool: Pool, beside: Pool | None = None) -> int:
    """Return for how many actors the nodes have GPUs, one face actor `beside` them; 1 of those that need none.

    CPUs that are too few are no reason to leave a GPU idle without a word: `missing` tells of them.
    """
    if pool.gpus == 0:
        return 1
    free = [{"GPU": node.get("GPU", 0.0)} for node in nodes]
    if beside is not None and beside.gpus > 0:
        _place(replace(beside, cpus=0.0), free, 1)
    return _place(replace(pool, cpus=0.0), free, None)


def _faces_beside(nodes: Sequence[Node], sampling: Pool, faces: Pool) -> int:
    """Return how many face actors to begin with: one for each two sampling actors where there is room, at least one."""
    free = [dict(node) for node in nodes]
    _place(sampling, free, sampling.at_least)
    return max(1, _place(faces, free, (sampling.at_least + 1) // 2))


def _place(pool: Pool, free: Sequence[dict[str, float]], most: int | None) -> int:
    """Put up to `most` actors on the nodes, from the fewest GPUs on, and take what they ask for; return how many."""
    wanted = {name: each for name, each in (("CPU", pool.cpus), ("GPU", pool.gpus)) if each > 0}
    if not wanted:
        return 0 if most is None else most
    placed = 0
    for node in sorted(free, key=lambda one: one.get("GPU", 0.0)):
        fitting = int(min((node.get(name, 0.0) + ROUNDING) / each for name, each in wanted.items()))
        here = fitting if most is None else min(fitting, most - placed)
        for name, each in wanted.items():
            node[name] = node.get(name, 0.0) - here * each
        placed += here
    return placed


def _later(gpus: float | None, each: float, useful: int) -> int:
    """Return how many actors a cluster may come to have room for."""
    if each == 0:
        return 1
    return useful if gpus is None else int((gpus + ROUNDING) / each)


def _wanted(pool: Pool) -> str:
    return f"{pool.cpus:g} CPUs and {pool.gpus:g} GPUs" if pool.gpus else f"{pool.cpus:g} CPUs"


def _check_gpus(config: Config) -> None:
    asked = {"sampling.num_gpus": config.sampling.num_gpus, "faces.num_gpus": config.faces.num_gpus}
    asked["texts.num_gpus"] = config.texts.num_gpus or 0.0
    for name, gpus in asked.items():
        if not 0 <= gpus <= 1:
            raise RunError(
                Exit.USAGE, f"{name}={gpus:g}: an actor works on one GPU; give 0, 1 or a part of one, as in {name}=0.5"
            )
