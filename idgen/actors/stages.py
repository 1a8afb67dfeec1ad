"""The actors as pipeline.py names them to Ray Data: each process imports what its own actor is made of.

torch, diffusers, transformers and insightface take seconds to import, and the driver needs none of them.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from idgen.actors.facts import FaceSettings, RunFacts, SamplerSettings, TextSettings
from idgen.actors.monitor import Monitor
from idgen.actors.packing import pack, unpack


@contextmanager
def _imported_for_good() -> Iterator[None]:
    """Keep the garbage collector off imports: a quarter of their time, and 0.3 s of each `give_back_memory` later."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _made(actor: Callable[[], Callable[[pa.Table], pa.Table]]) -> Callable[[pa.Table], pa.Table]:
    """Return what `actor` makes; what that raises is raised when the first shard comes.

    Of an error in a constructor Ray keeps the text alone, and the job would take it for a line that stands still.
    """
    try:
        return actor()
    except Exception as error:
        kept = error

    def fail(_item: pa.Table) -> pa.Table:
        raise kept

    return fail


class Faces:
    """A `FaceActor` (faces.py); hands its shard on as one row."""

    def __init__(self, run: RunFacts, settings: FaceSettings, monitor: Monitor) -> None:
        with _imported_for_good():
            from idgen.actors.faces import FaceActor

        self._actor = _made(lambda: FaceActor(run, settings, monitor))

    def __call__(self, item: pa.Table) -> pa.Table:
        """See `FaceActor`; returns PACKED."""
        return pack(self._actor(item))


class Sampling:
    """A `SamplerActor` (sampler.py)."""

    def __init__(self, run: RunFacts, settings: SamplerSettings, monitor: Monitor) -> None:
        with _imported_for_good():
            from idgen.actors.sampler import SamplerActor

        self._actor = _made(lambda: SamplerActor(run, settings, monitor))

    def __call__(self, item: pa.Table) -> pa.Table:
        """See `SamplerActor`; takes PACKED."""
        return self._actor(unpack(item))


class Texts:
    """A `TextActor` (texts.py)."""

    def __init__(self, run: RunFacts, settings: TextSettings, monitor: Monitor) -> None:
        with _imported_for_good():
            from idgen.actors.texts import TextActor

        self._actor = _made(lambda: TextActor(run, settings, monitor))

    def __call__(self, item: pa.Table) -> pa.Table:
        """See `TextActor`."""
        return self._actor(item)
