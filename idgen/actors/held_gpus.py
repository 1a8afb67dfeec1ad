"""How long an actor holds its share of a GPU: from its start to the end of its last shard, with loading and waits."""

import time

GPU_MS = "gpu_ms"
"""Name among the counts that actors tell the monitor."""


class HeldGpus:
    """Counts from its making on."""

    def __init__(self, gpus: float) -> None:
        self._gpus = gpus
        self._since_s = time.monotonic()

    def counts(self) -> dict[str, int]:
        """Return the GPU's milliseconds since the last call; nothing without a GPU."""
        now_s = time.monotonic()
        held_ms = int(1000 * self._gpus * (now_s - self._since_s))
        self._since_s = now_s
        return {GPU_MS: held_ms} if self._gpus else {}
