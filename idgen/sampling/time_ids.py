"""SDXL's size conditioning, row by row. Time ids say what size a photo had, where it was cut, how large it has become.

Stock pipelines take one set for all rows of a batch, and give it to the UNet and the ControlNets with every call. Here
the nets are given what the rows say instead, in batches where one of them says something; others are left alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from idgen.columns import BY_NAME, TOLD_SIZES
from idgen.sampling.rows import Bucket, SampleRow


def of_rows(rows: Sequence[SampleRow], bucket: Bucket) -> Tensor | None:
    """Return the rows' time ids [B, 6], float32, on the CPU; None when no row says anything.

    Each row's are original height and width, crop top and left, target height and width, as diffusers orders them.
    """
    if not any(row.told_sizes for row in rows):
        return None
    size = {"width": bucket.width, "height": bucket.height}
    own = {name: size.get(BY_NAME[name].neutral_as, BY_NAME[name].neutral) for name in TOLD_SIZES}
    ids = [[row.told_sizes.get(name, own[name]) for name in TOLD_SIZES] for row in rows]
    return torch.tensor(ids, dtype=torch.float32)


@contextmanager
def told(nets: Iterable[nn.Module], time_ids: Tensor | None) -> Iterator[None]:
    """Give `nets` these time ids [R, 6] instead of the pipeline's as long as this lasts; None = leave them alone."""
    hooks = []
    if time_ids is not None:
        give = partial(_give, time_ids)
        hooks = [net.register_forward_pre_hook(give, with_kwargs=True) for net in nets]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _give(
    time_ids: Tensor, _net: nn.Module, args: tuple[object, ...], named: dict[str, object]
) -> tuple[tuple[object, ...], dict[str, object]]:
    """In the pipeline's dtype: in float16 sizes over 2048 are rounded, as they are there."""
    added = cast(dict[str, Tensor], named["added_cond_kwargs"])
    return args, {**named, "added_cond_kwargs": {**added, "time_ids": time_ids.to(added["time_ids"].dtype)}}
