"""The monitor as a Ray actor behind plain calls."""

from collections.abc import Sequence
from typing import cast

import ray
from ray.actor import ActorHandle

from idgen.actors.monitor import MonitorState, Orders, Progress, Published, Stage


class RemoteMonitor:
    """The monitor actor behind plain calls. Only what decides something is waited for."""

    def __init__(self, handle: "ActorHandle[MonitorState]") -> None:
        self._handle = handle

    def begin_shard(self, stage: Stage, shard: str) -> Orders:
        """See `MonitorState.begin_shard`."""
        return cast("Orders", ray.get(self._handle.begin_shard.remote(stage, shard)))

    def begin(self, stage: Stage, shard: str, keys: Sequence[str]) -> bool:
        """See `MonitorState.begin`; waited for, because a mark that arrives after the death is useless."""
        return bool(ray.get(self._handle.begin.remote(stage, shard, list(keys))))

    def end(self, stage: Stage, shard: str) -> None:
        """See `MonitorState.end`; calls of one worker arrive in order, so nobody waits."""
        self._handle.end.remote(stage, shard)

    def end_shard(self, stage: Stage, shard: str, counts: dict[str, int]) -> None:
        """See `MonitorState.end_shard`; waited for, so that the driver's last look sees every count."""
        ray.get(self._handle.end_shard.remote(stage, shard, counts))

    def count(self, counts: dict[str, int]) -> None:
        """See `MonitorState.count`."""
        self._handle.count.remote(counts)

    def published(self, rows: Sequence[Published]) -> None:
        """See `MonitorState.published`."""
        self._handle.published.remote(list(rows))

    def loaded(self, what: str) -> None:
        """See `MonitorState.loaded`."""
        self._handle.loaded.remote(what)

    def fault(self, what: str, message: str) -> bool:
        """See `MonitorState.fault`; waited for, as the run's exit code rests on it."""
        return bool(ray.get(self._handle.fault.remote(what, message)))

    def take_extra(self) -> bool:
        """See `MonitorState.take_extra`."""
        return bool(ray.get(self._handle.take_extra.remote()))

    def stopping(self) -> bool:
        """See `MonitorState.stopping`."""
        return bool(ray.get(self._handle.stopping.remote()))

    def request_stop(self, reason: str) -> None:
        """See `MonitorState.request_stop`."""
        ray.get(self._handle.request_stop.remote(reason))

    def progress(self) -> Progress:
        """See `MonitorState.progress`."""
        return cast("Progress", ray.get(self._handle.progress.remote()))
