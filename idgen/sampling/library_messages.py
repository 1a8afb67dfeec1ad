"""What diffusers, transformers and safetensors say while they read weights: kept quiet, or said in words of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import diffusers
from diffusers.loaders.single_file_utils import SingleFileComponentError
from safetensors import SafetensorError

from idgen.errors import Exit, RunError


@contextmanager
def quiet() -> Iterator[None]:
    """Keep diffusers from saying what is known here, or what an error of ours says."""
    before = diffusers.utils.logging.get_verbosity()
    diffusers.utils.logging.set_verbosity(diffusers.utils.logging.CRITICAL)
    try:
        yield
    finally:
        diffusers.utils.logging.set_verbosity(before)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the errors that libraries have for wrong files into RunError(USAGE) that begins with `what`."""
    try:
        yield
    except (OSError, ValueError, KeyError, NotImplementedError, SingleFileComponentError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0][:300]
        if isinstance(error, NotImplementedError):  # of torch, about tensors that nothing was read into
            reason = "weights are missing"
        raise RunError(Exit.USAGE, f"{what}: {reason}") from error
