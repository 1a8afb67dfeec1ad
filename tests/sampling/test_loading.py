"""What goes wrong while weights are loaded is their fault, or the machine's."""

import errno

import pytest

from idgen.errors import Exit, RunError
from idgen.sampling.memory import loading


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ValueError("not a safetensors file"), Exit.USAGE, "recipe r cannot be loaded: ValueError: not a"),
        (FileNotFoundError(errno.ENOENT, "No such file", "unet.bin"), Exit.USAGE, "cannot be loaded: FileNotFound"),
        (OSError("Can't load config"), Exit.USAGE, "cannot be loaded: OSError"),
        (OSError(errno.EIO, "Input/output error"), Exit.UNAVAILABLE, "this node failed while recipe r was loaded"),
        (OSError(errno.EMFILE, "Too many open files"), Exit.UNAVAILABLE, "this node failed while recipe r was"),
        (RuntimeError("CUDA error: device kernel image is invalid"), Exit.UNAVAILABLE, "this node failed while"),
        (RuntimeError("CUDA error: out of memory"), Exit.UNAVAILABLE, "does not fit the memory of cpu"),
    ],
)
def test_the_file_or_the_machine(error, code, words):
    with pytest.raises(RunError, match=words) as told, loading("recipe r", "cpu"):
        raise error
    assert told.value.exit_code == code
