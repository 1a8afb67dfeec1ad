"""The share of time in which the GPU runs a kernel."""

import time
from collections.abc import Callable, Iterable

import torch


def busy_share(call: Callable[[], object], device: torch.device) -> float | None:
    """Return it for one `call`; None without a GPU.

    torch's profiler looks at the device alone: recording the host's side too would slow it down.
    """
    if device.type != "cuda":
        return None
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        wall_us = (time.perf_counter() - start) * 1e6
    spans = [
        (event.time_range.start, event.time_range.end)
        for event in seen.events() or ()
        if event.device_type.name == "CUDA"
    ]
    return covered(spans) / wall_us


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return how much of the line the `spans` (start, end) cover; what two of them cover counts once."""
    total, done = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, done))
        done = max(done, end)
    return total
