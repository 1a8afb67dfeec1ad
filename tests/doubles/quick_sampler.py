"""A sampler without networks: each row's picture follows from its seed and prompt alone, whatever the batch.

For runs of thousands of pictures, in which everything else is real.
"""

import hashlib
import time

import numpy as np

SIDE_PX = 64


def install(sleep_s):
    """Let sampling actors load this in the place of recipes; `sleep_s` is what a batch takes."""
    import torch

    from idgen.sampling.caches import WorkCounts
    from idgen.sampling.sampler import Sampler

    class QuickSampler:
        """Has what the sampling actor asks of a Sampler."""

        def __init__(self):
            self.device, self.counts = torch.device("cpu"), WorkCounts()

        def sample(self, rows, bucket):
            """Return each row's picture."""
            self.counts.sampler_calls += 1
            time.sleep(sleep_s)
            return [picture(row.seed, row.prompt, bucket.height, bucket.width) for row in rows]

        def warnings(self, rows, _bucket):
            """Return none."""
            return [[] for _ in rows]

        def release(self):
            """Hold nothing."""

    Sampler.load = classmethod(lambda cls, recipe, **how: QuickSampler())


def picture(seed, prompt, height, width):
    """Return a noisy picture, uint8 [height, width, 3]."""
    digest = hashlib.sha256(f"{seed} {prompt}".encode()).digest()
    return np.random.default_rng(list(digest)).integers(0, 256, (height, width, 3), np.uint8)
