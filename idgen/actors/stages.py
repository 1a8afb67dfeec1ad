"""The actors as pipeline.py names them to Ray Data: each process imports what its own actor is made of.

torch, diffusers, transformers and insightface take seconds to import, and the driver needs none of them.
"""

import gc
from collections.abc import Iterator
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


class Faces:
    """A `FaceActor` (faces.py); hands its shard on as one row."""

    def __init__(self, run: RunFacts, settings: FaceSettings, monitor: Monitor) -> None:
        with _imported_for_good():
            from idgen.actors.faces import FaceActor

        self._actor = FaceActor(run, settings, monitor)

    def __call__(self, item: pa.Table) -> pa.Table:
        """See `FaceActor`; returns PACKED."""
        return pack(self._actor(item))


class Sampling:
    """A `SamplerActor` (sampler.py)."""

    def __init__(self, run: RunFacts, settings: SamplerSettings, monitor: Monitor) -> None:
        with _imported_for_good():
            from idgen.actors.sampler import SamplerActor

        self._actor = SamplerActor(run, settings, monitor)

    def __call__(self, item: pa.Table) -> pa.Table:
        """See `SamplerActor`; takes PACKED."""
        return self._actor(unpack(item))


class Texts:
    """A `TextActor` (texts.py)."""

    def __init__(self, run: RunFacts, settings: TextSettings, monitor: Monitor) -> None:
        with _imported_for_good():
            from idgen.actors.texts import TextActor

        self._actor = TextActor(run, settings, monitor)

    def __call__(self, item: pa.Table) -> pa.Table:
        """See `TextActor`."""
        return self._actor(item)
