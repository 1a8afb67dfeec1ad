"""How many actors of each kind the cluster has room for, and what is missing: counted before anything runs.

An actor lives on one node, and on one card of it: what two have left over together helps nobody. No Ray here.
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
    there = _samplers_there(config, nodes, sampling, faces)
    useful = max(1, shards)
    actors = min(config.sampling.actors or max(there, _later(later_gpus, sampling.gpus, useful)), useful)
    at_least = actors if config.sampling.actors else min(there, actors)
    sampling = replace(sampling, actors=actors, at_least=at_least)
    # of nodes that nobody knows of, none is counted on here: face actors would take the CPUs that samplers wait for
    most = min(_faces_for(config, actors if later_gpus else at_least), useful)
    at_first = most if config.faces.actors else min(most, _faces_beside(nodes, sampling, faces))
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
    there = max(1, _most_on_gpus(nodes, pool))
    actors = texts.actors or min(useful, max(there, _later(later_gpus, pool.gpus, useful)))
    return replace(pool, actors=actors, at_least=texts.actors or min(actors, there))


def missing(pools: Pools, nodes: Sequence[Node]) -> str:
    """Return what the nodes lack for the pools at their least, in words that say what to do, or ""."""
    faces, sampling = pools.faces, pools.sampling
    samplers, beside = _place_both(nodes, sampling, faces)
    if samplers < sampling.at_least:
        return _missing_sampling(pools, nodes, samplers)
    if beside == faces.at_least:
        return ""
    return (
        f"beside the sampling actors, the cluster has room for {beside} of {faces.at_least} face actors, each with "
        f"{wanted(faces)}: set faces.num_cpus, faces.num_gpus or sampling.num_cpus"
    )


def missing_texts(pool: Pool, nodes: Sequence[Node]) -> str:
    """As `missing`, for the pool that encodes prompts ahead."""
    placed = _place(pool, _free(nodes), pool.at_least)
    if placed == pool.at_least:
        return ""
    if placed:
        return f"the cluster has room for {placed} of {pool.at_least} text actors"
    return (
        f"no node has the {wanted(pool)} of an actor that encodes prompts ahead: set texts.num_cpus or "
        "texts.num_gpus, or base.text=inline in the recipe"
    )


def _missing_sampling(pools: Pools, nodes: Sequence[Node], placed: int) -> str:
    sampling = pools.sampling
    if _place(sampling, _free(nodes), sampling.at_least) == sampling.at_least:
        return (
            f"beside the face actors' parts of GPUs, there is room for {placed} of {sampling.at_least} sampling "
            "actors: "
            "set faces.num_gpus and sampling.num_gpus so that both fit on one card, for example 0.25 and 0.75"
        )
    gpus = sum(node.get("GPU", 0) for node in nodes)
    if sampling.at_least * sampling.gpus > gpus + ROUNDING:
        hint = " (on a machine without one: sampling.num_gpus=0)" if gpus == 0 else ""
        return f"the cluster has {gpus:g} GPUs, the sampling actors need {sampling.at_least * sampling.gpus:g}{hint}"
    cpus, need = sum(node.get("CPU", 0) for node in nodes), sampling.at_least * sampling.cpus
    if need > cpus + ROUNDING:
        return f"the cluster has {cpus:g} CPUs, the sampling actors need {need:g}: set sampling.num_cpus"
    if placed:
        return f"the cluster's nodes have room for {placed} of {sampling.at_least} sampling actors ({wanted(sampling)})"
    return (
        f"no single node has the {wanted(sampling)} of one sampling actor: set sampling.num_cpus or sampling.num_gpus"
    )


@dataclass(slots=True)
class _Free:
    """What a node has left."""

    cpus: float
    cards: list[float]
    """Of each GPU: a part of one is a part of one card, what two have left over together helps nobody."""

    def take(self, pool: Pool) -> bool:
        """Place one actor as Ray does, a part of a GPU on the fullest card that has it; return whether it fitted."""
        fitting = [at for at, free in enumerate(self.cards) if free + ROUNDING >= pool.gpus]
        if self.cpus + ROUNDING < pool.cpus or (pool.gpus > 0 and not fitting):
            return False
        self.cpus -= pool.cpus
        if pool.gpus > 0:
            self.cards[min(fitting, key=lambda at: self.cards[at])] -= pool.gpus
        return True


def _free(nodes: Sequence[Node]) -> list[_Free]:
    """Return the nodes empty, those with the fewest GPUs first: there go the actors that need none."""
    free = [_Free(node.get("CPU", 0.0), [1.0] * int(node.get("GPU", 0.0))) for node in nodes]
    return sorted(free, key=lambda node: len(node.cards))


def _place(pool: Pool, free: Sequence[_Free], most: int) -> int:
    """Put up to `most` actors on the nodes; return how many."""
    placed = 0
    for node in free:
        while placed < most and node.take(pool):
            placed += 1
    return placed


def _place_both(nodes: Sequence[Node], sampling: Pool, faces: Pool) -> tuple[int, int]:
    """Put both pools' least on the nodes; return how many samplers and face actors fitted.

    Faces that want a part of a GPU come first, as they do in Ray, which puts them all on one card.
    """
    free = _free(nodes)
    beside = _place(faces, free, faces.at_least) if faces.gpus > 0 else 0
    samplers = _place(sampling, free, sampling.at_least)
    return samplers, beside if faces.gpus > 0 else _place(faces, free, faces.at_least)


def _samplers_there(config: Config, nodes: Sequence[Node], sampling: Pool, faces: Pool) -> int:
    """Return for how many sampling actors the nodes have GPUs beside their face actors, at least 1.

    Too few CPUs must not leave a GPU idle silently: `missing` reports them.
    """
    if sampling.gpus == 0:
        return 1
    for samplers in range(_most_on_gpus(nodes, sampling), 1, -1):
        wanted = replace(faces, cpus=0.0, at_least=_faces_for(config, samplers) if faces.gpus > 0 else 0)
        both = _place_both(nodes, replace(sampling, cpus=0.0, at_least=samplers), wanted)
        if both == (samplers, wanted.at_least):
            return samplers
    return 1


def _most_on_gpus(nodes: Sequence[Node], pool: Pool) -> int:
    """Return how many actors the nodes' GPUs hold when nothing else is on them."""
    if pool.gpus == 0:
        return 1
    cards = sum(int(node.get("GPU", 0.0)) for node in nodes)
    return cards * int((1 + ROUNDING) / pool.gpus)


def _faces_for(config: Config, samplers: int) -> int:
    return config.faces.actors or (samplers + 1) // 2


def _faces_beside(nodes: Sequence[Node], sampling: Pool, faces: Pool) -> int:
    """Return how many face actors to begin with: one for each two sampling actors where there is room, at least one."""
    wanted = (sampling.at_least + 1) // 2
    return max(1, _place_both(nodes, sampling, replace(faces, at_least=wanted))[1])


def _later(gpus: float | None, each: float, useful: int) -> int:
    """Return how many actors a cluster may come to have room for."""
    if each == 0:
        return 1
    return useful if gpus is None else int(gpus) * int((1 + ROUNDING) / each)


def wanted(pool: Pool) -> str:
    """Return what one actor asks for, in words."""
    cpus = f"{pool.cpus:g} CPU{'s' * (pool.cpus != 1)}"
    return f"{cpus} and {pool.gpus:g} GPU{'s' * (pool.gpus != 1)}" if pool.gpus else cpus


def _check_gpus(config: Config) -> None:
    asked = {"sampling.num_gpus": config.sampling.num_gpus, "faces.num_gpus": config.faces.num_gpus}
    asked["texts.num_gpus"] = config.texts.num_gpus or 0.0
    for name, gpus in asked.items():
        if not 0 <= gpus <= 1:
            raise RunError(
                Exit.USAGE,
                f"{name}={gpus:g}: an actor uses at most one GPU; give 0, 1 or a fraction, for example {name}=0.5",
            )
