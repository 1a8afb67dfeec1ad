"""Counts what makes the host wait for the device: a number per step, which needs no GPU to be known.

Everything else is queued. With a wait the GPU idles until the host has launched the next kernels, of which a step of
SDXL has two thousand. A sampler on the device "meta" (tensors that are nowhere) asks for the same waits as one on CUDA,
but for `torch.tensor(…, device=…)`, of which meta does not tell; on CUDA `torch.cuda.set_sync_debug_mode` tells all.
Counted on "cpu", what the host reads of its own tables is among the numbers.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from idgen.sampling.conditions import Conditions
from idgen.sampling.rows import Bucket
from idgen.sampling.sampler import Sampler

aten = torch.ops.aten
READS = {
    aten._local_scalar_dense.default: "item",
    aten.nonzero.default: "nonzero",
    aten.masked_select.default: "masked_select",
    aten.equal.default: "equal",
    aten._unique2.default: "unique",
    aten.repeat_interleave.Tensor: "repeat_interleave",
}
"""What the host reads a value of, or the size of the result."""
INDEXING = (aten.index, aten.index_put, aten.index_put_)
LISTS = (aten.lift_fresh.default, aten.lift_fresh_copy.default)
"""What `torch.tensor` ends with; made of Python's numbers for a GPU, it copies and waits."""


class HostSyncs(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, counts by kind what waits for tensors of `device`; for one thread."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()
        self._type = device.type

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Count, then do as told. Under inference mode operations come whole and are taken apart here."""
        kwargs = dict(kwargs or {})
        kind = self._kind(func, args, kwargs)
        if kind:
            self.counts[kind] += 1
            return func(*args, **kwargs)
        with self:
            parts = func.decompose(*args, **kwargs)
        return func(*args, **kwargs) if parts is NotImplemented else parts

    def _kind(self, func: OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Return what waits in this call, "" where nothing does."""
        if func in READS or func in LISTS:
            there = any(self._is_there(one) for one in tree_leaves((args, kwargs)))
            return READS.get(func, "tensor") if there else ""
        packet = func.overloadpacket
        if packet in INDEXING and self._is_there(args[0]):
            return "index" if any(self._stalls(one) for one in args[1]) else ""
        if packet is aten._to_copy:
            return self._copy(args[0].device, kwargs.get("device") or args[0].device, kwargs.get("non_blocking"))
        if packet is aten.copy_:
            return self._copy(args[1].device, args[0].device, args[2] if len(args) > 2 else kwargs.get("non_blocking"))
        return ""

    def _copy(self, source: torch.device, target: torch.device | str, non_blocking: bool | None) -> str:
        types = (source.type, torch.device(target).type)
        if non_blocking or types[0] == types[1] or self._type not in types:
            return ""
        return "copy to the host" if types[0] == self._type else "copy to the device"

    def _is_there(self, one: object) -> bool:
        return isinstance(one, Tensor) and one.device.type == self._type

    def _stalls(self, index: Tensor | None) -> bool:
        """A mask is counted on the host, an index that is there is copied."""
        return index is not None and (index.dtype in (torch.bool, torch.uint8) or not self._is_there(index))


def count_per_step(sampler: Sampler, conditions: Conditions, bucket: Bucket) -> list[Counter[str]]:
    """Return what waited for `sampler.device` in each step of one batch; the first has what comes before the steps."""
    steps: list[Counter[str]] = []
    with HostSyncs(sampler.device) as syncs:

        def end_step(_step: int, _latents: Tensor) -> None:
            """Keep what was counted since the last step."""
            steps.append(Counter(syncs.counts))
            syncs.counts.clear()

        sampler.denoise(conditions, bucket, end_step)
    return steps
