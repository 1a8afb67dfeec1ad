"""One recipe's speed, in a process of its own: `python -m idgen.benchmark.family '{"recipe": …}'`.

Measures the plain loop, our sampler and our sampler compiled, one after another, and writes what it has so far after
each, so that whoever runs out of time keeps it.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import diffusers
import torch
import transformers

from idgen.benchmark import syncs
from idgen.benchmark.busy import busy_share
from idgen.benchmark.figures import SpeedFigures, Way
from idgen.benchmark.plain import PlainLoop
from idgen.benchmark.recipes import Setting, load, setting_for
from idgen.errors import Code, RowError
from idgen.full_size.pictures import RandomTexts, bucket_for, rows_for, texts_for
from idgen.recipes.recipe import Dtype, Recipe
from idgen.sampling.memory import give_back_memory
from idgen.sampling.rows import Bucket, SampleRow
from idgen.sampling.sampler import Sampler

MEASURE_S = 4.0
"""How long each way is timed on a GPU: batches are made until then."""
SYNC_STEPS, BUSY_STEPS = 2, 4
LIMIT_OF = "H200"


@dataclass(frozen=True, slots=True)
class Measured:
    """One recipe and how it is asked for."""

    recipe: Recipe
    bucket: Bucket
    setting: Setting
    device: torch.device
    texts: RandomTexts | None

    def rows(self, batch: int, number: int) -> list[SampleRow]:
        """Return batch number `number`: people and prompts that no other has."""
        return rows_for(self.recipe, self.bucket, batch, first=batch * number)


def measure(recipe: str, size: str, device: str, words: list[str], out: str) -> None:
    """Measure all three ways on the weights that `words` name; what is known stands in the file `out` after each."""
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    chosen: Dtype = "float16" if device == "cuda" else "float32"
    setting, found = setting_for(recipe, size), SpeedFigures(weights=size, dtype=chosen)
    task = _task(load(recipe, words, chosen), setting, torch.device(device))
    found.width, found.height = task.bucket.width, task.bucket.height
    found.steps, found.scheduler = setting.steps, setting.scheduler
    found.limit_images_per_s = _limit(setting, task.device)

    def keep() -> None:
        """Write what is found so far."""
        Path(out).write_text(json.dumps(asdict(found)))

    keep()
    found.plain_leaves_out = _plain(task, found.plain)
    give_back_memory(task.device)
    keep()
    start = time.perf_counter()
    sampler = Sampler.load(task.recipe, lora_scale=1.0, device=device, texts=task.texts)
    found.load_s = time.perf_counter() - start
    _ours(task, sampler, found.eager)
    keep()
    # without a GPU only the tracing is real: nobody compiles for the CPU
    found.compile_backend = "inductor" if device == "cuda" else "eager"
    sampler.compile_blocks(backend=found.compile_backend)
    _ours(task, sampler, found.compiled)
    for way in (found.plain, found.eager, found.compiled):
        assert way.images_per_s
        way.limit_share = way.images_per_s / found.limit_images_per_s if found.limit_images_per_s else None
    assert found.plain.images_per_s
    assert found.eager.images_per_s
    assert found.compiled.images_per_s
    found.eager_over_plain = found.eager.images_per_s / found.plain.images_per_s
    found.compiled_over_plain = found.compiled.images_per_s / found.plain.images_per_s
    keep()


def _task(recipe: Recipe, setting: Setting, device: torch.device) -> Measured:
    bucket = replace(
        bucket_for(recipe),
        width=setting.side_px,
        height=setting.side_px,
        num_inference_steps=setting.steps,
        scheduler=setting.scheduler,
        guidance_scale=setting.guidance_scale,
    )
    return Measured(recipe, bucket, setting, device, texts_for(recipe))


def _limit(setting: Setting, device: torch.device) -> float | None:
    """The table's are an H200's."""
    known = device.type == "cuda" and LIMIT_OF in torch.cuda.get_device_name(device)
    return setting.limit_images_per_s if known else None


def _plain(task: Measured, way: Way) -> str:
    """Fill in the plain loop's figures; return what it leaves out."""
    loop = PlainLoop(task.recipe, task.device, task.texts)
    with tempfile.TemporaryDirectory() as folder:

        def make(number: int) -> None:
            """Make one picture with the plain loop."""
            (row,) = task.rows(1, number)
            loop.save(row, task.bucket, Path(folder) / f"{number}.png")

        _time(make, 1, way, task.device)
    (row,) = task.rows(1, 0)

    def denoise(steps: int) -> object:
        """Denoise only, for so many steps."""
        return loop.denoise(row, task.bucket, steps)

    _count_syncs(denoise, way, task.device)
    way.gpu_busy_share = busy_share(lambda: denoise(BUSY_STEPS), task.device)
    return loop.leaves_out


def _ours(task: Measured, sampler: Sampler, way: Way) -> None:
    batch, dark = task.setting.batch, []

    def make(number: int) -> None:
        """Make one batch with our sampler."""
        dark.append(non_finite(sampler.sample(task.rows(batch, number), task.bucket)))

    _time(make, batch, way, task.device)
    way.non_finite = sum(dark)
    denoise = _denoise(task, sampler)
    if task.device.type == "cuda":
        _count_syncs(denoise, way, task.device)
    elif not sampler.compiled:  # a compiled graph's calls are not seen
        nowhere = torch.device("meta")
        twin = Sampler.load(task.recipe, lora_scale=1.0, device="meta", texts=task.texts)
        _count_syncs(_denoise(task, twin), way, nowhere)
    way.gpu_busy_share = busy_share(lambda: denoise(BUSY_STEPS), task.device)


def _denoise(task: Measured, sampler: Sampler) -> Callable[[int], object]:
    """Return what runs so many steps of one batch."""
    conditions = sampler.condition(task.rows(task.setting.batch, 0), task.bucket)
    return lambda steps: sampler.denoise(conditions, replace(task.bucket, num_inference_steps=steps))


def non_finite(results: Sequence[object]) -> int:
    """Return how many pictures are not finite, which took no less time. Raises any other error that a row has."""
    errors = [one for one in results if isinstance(one, RowError)]
    for error in errors:
        if error.code != Code.NON_FINITE:
            raise error
    return len(errors)


def _time(make: Callable[[int], None], batch: int, way: Way, device: torch.device) -> None:
    """Fill in rate and memory of `make(number)`, which makes a batch of pictures."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    first = time.perf_counter()
    make(0)
    start = time.perf_counter()
    number = 1
    while number == 1 or time.perf_counter() - start < MEASURE_S * (device.type == "cuda"):
        make(number)
        number += 1
    way.seconds = time.perf_counter() - start
    way.batch, way.first_batch_s, way.pictures = batch, start - first, batch * (number - 1)
    way.images_per_s = way.pictures / way.seconds
    way.peak_memory_bytes = torch.cuda.max_memory_allocated() if device.type == "cuda" else None


def _count_syncs(denoise: Callable[[int], object], way: Way, device: torch.device) -> None:
    """Fill in what the host waits for."""
    way.host_syncs_per_step, way.host_syncs_per_batch = syncs.per_step(denoise, SYNC_STEPS, device)


if __name__ == "__main__":
    measure(**json.loads(sys.argv[1]))
