"""From .bin to .safetensors: the same tensors, bit for bit, in a file that cannot run code."""

import os
import tempfile
from pathlib import Path

from idgen.errors import Exit, RunError


def convert(source: Path, target: Path) -> int:
    """Write `source`'s tensors to `target` under their flat names and return how many.

    Raises RunError(USAGE) when the source holds something else, or `target` exists or is no .safetensors.
    """
    from safetensors.torch import load_file, save_file

    from idgen.networks import checkpoints

    if target.suffix != ".safetensors":
        raise RunError(Exit.USAGE, f"{target}: the new file's name must end in .safetensors")
    if target.exists():
        raise RunError(Exit.USAGE, f"{target} exists; nothing was written")
    tensors = {name: tensor.contiguous().clone() for name, tensor in checkpoints.read(source).items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, suffix=".safetensors")
    os.close(handle)
    try:
        save_file(tensors, temporary, metadata={"format": "pt"})
        written = load_file(temporary)
        different = [name for name, tensor in tensors.items() if not _equal_bits(tensor, written.get(name))]
        if different or len(written) != len(tensors):
            raise RunError(Exit.BUG, f"{source}: {different[:3]} were changed by the conversion")
        os.chmod(temporary, 0o644)
        os.link(temporary, target)  # unlike a rename never over a file that came meanwhile
    except FileExistsError as error:
        raise RunError(Exit.USAGE, f"{target} exists; nothing was written") from error
    finally:
        os.unlink(temporary)
    return len(tensors)


def _equal_bits(one: object, other: object) -> bool:
    import torch

    if not (isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)):
        return False
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))
