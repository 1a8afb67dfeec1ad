"""The actors as pipeline.py names them to Ray Data: each process imports what its own actor is made of.

torch, diffusers, transformers and insightface take seconds to import, and the driver needs none of them.
"""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from idgen.actors.facts import FaceSettings, RunFacts, SamplerSettings, TextSettings
from idgen.actors.monitor import Monitor
from idgen.actors.packing import pack, unpack
from idgen.errors import Exit, MachineError

Actor = Callable[[pa.Table], pa.Table]


@contextmanager
def _imported_for_good() -> Iterator[None]:
    """Keep the garbage collector off imports: a quarter of their time, and 0.3 s of each `give_back_memory` later."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


@contextmanager
def _libraries_told() -> Iterator[None]:
    """Say of a library that only this node lacks where it is missing: Ray would tell a traceback."""
    try:
        yield
    except ImportError as error:
        node, what = os.uname().nodename, _lacked(error)
        raise MachineError(
            Exit.USAGE, f"the node {node} lacks {what}: install the same packages on every node"
        ) from error


def _lacked(error: ImportError) -> str:
    """Return the name of the missing library; some libraries say in words of their own what they cannot import."""
    for one in (error, error.__cause__, error.__context__):
        if isinstance(one, ModuleNotFoundError) and one.name:
            return one.name
    return " ".join(str(error).split())


def _made(actor: Callable[[], Actor]) -> Actor:
    """Return what `actor` imports and makes; what that raises is raised when the first shard comes.

    Of an error in a constructor Ray keeps the text alone, and the job would take it for a line that stands still.
    Raises MachineError (usage) for a library that is missing, also for one that is imported by a later shard.
    """
    try:
        with _libraries_told():
            made = actor()
    except Exception as error:
        kept = error

        def fail(_item: pa.Table) -> pa.Table:
            """Say why there is no actor."""
            raise kept

        return fail

    def call(item: pa.Table) -> pa.Table:
        """Do a shard."""
        with _libraries_told():
            return made(item)

    return call


class Faces:
    """A `FaceActor` (faces.py); hands its shard on as one row."""

    def __init__(self, run: RunFacts, settings: FaceSettings, monitor: Monitor) -> None:
        def actor() -> Actor:
            """Import it and make one."""
            with _imported_for_good():
                from idgen.actors.faces import FaceActor
            return FaceActor(run, settings, monitor)

        self._actor = _made(actor)

    def __call__(self, item: pa.Table) -> pa.Table:
        """See `FaceActor`; returns PACKED."""
        return pack(self._actor(item))


class Sampling:
    """A `SamplerActor` (sampler.py)."""

    def __init__(self, run: RunFacts, settings: SamplerSettings, monitor: Monitor) -> None:
        def actor() -> Actor:
            """Import it and make one."""
            with _imported_for_good():
                from idgen.actors.sampler import SamplerActor
            return SamplerActor(run, settings, monitor)

        self._actor = _made(actor)

    def __call__(self, item: pa.Table) -> pa.Table:
        """See `SamplerActor`; takes PACKED."""
        return self._actor(unpack(item))


class Texts:
    """A `TextActor` (text_encoding.py)."""

    def __init__(self, run: RunFacts, settings: TextSettings, monitor: Monitor) -> None:
        def actor() -> Actor:
            """Import it and make one."""
            with _imported_for_good():
                from idgen.actors.text_encoding import TextActor
            return TextActor(run, settings, monitor)

        self._actor = _made(actor)

    def __call__(self, item: pa.Table) -> pa.Table:
        """See `TextActor`."""
        return self._actor(item)
