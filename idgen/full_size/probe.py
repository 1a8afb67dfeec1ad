"""One recipe in a process of its own, without Ray: what loading it and a step of it take, as JSON.

    python -m idgen.full_size.probe <recipe> <sampler | texts> <key=value …>

Weights are loaded as a sampling actor, or an actor that encodes texts ahead, does; the people are noise, and the
sampler's texts of Kolors too. It stays until stdin ends, and says what it holds by then for every line `share`.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from idgen.full_size.memory import Memory, Watch, forget_peak, held, share
from idgen.full_size.pictures import bucket_for, rows_for, texts_for
from idgen.installation import CONFIGS
from idgen.recipes.book import load_recipes
from idgen.recipes.recipe import Recipe
from idgen.sampling.bases import load_encoder
from idgen.sampling.families.kolors_text import KolorsText
from idgen.sampling.sampler import Sampler
from idgen.settings import load_config

SIDE_PX, STEPS = 256, 2
TINY = CONFIGS / "tiny.yaml"
CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
"""torch's counter does not know it by itself."""


def probe(recipe: Recipe, what: str) -> tuple[dict[str, Any], Sampler | KolorsText]:
    """Load `recipe`, make one picture or encode one prompt; return what that took (bytes, seconds, operations), and
    what is loaded.
    """
    load: Callable[[Recipe], Any] = _load_texts if what == "texts" else _load_sampler
    run: Callable[[Any, Recipe], dict[str, float]] = _encode if what == "texts" else _steps
    tiny = load_recipes(load_config([str(TINY)]))[recipe.name]
    run(load(tiny), tiny)  # what libraries take is there before anything is measured
    gc.collect()
    before = Memory.of()
    forget_peak()
    with Watch(lambda: [("self", os.getpid())]) as loading:
        started_s = time.monotonic()
        loaded = load(recipe)
        load_s = time.monotonic() - started_s
    after_load, weights = Memory.of(), held(modules_of(loaded))
    with Watch(lambda: [("self", os.getpid())]) as running:
        found = run(loaded, recipe)
    measured = {
        "load_s": load_s,
        "weights": weights.weights,
        "weights_mapped": weights.mapped,
        "libraries_private": before.private,
        "private_loaded": after_load.private - before.private,
        "private_peak_loading": loading.most_private["self"] - before.private,
        "private_peak": max(loading.most_private["self"], running.most_private["self"]) - before.private,
        "resident_loaded": after_load.private + after_load.mapped,
        "resident_peak": Memory.of().peak,
        "pss": share(),
        **found,
    }
    return measured, loaded


def _touch(loaded: Sampler | KolorsText) -> None:
    """Read a number of every page of the weights: the system takes mapped pages from processes that do not."""
    for module in modules_of(loaded):
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.detach().flatten()[:: 4096 // tensor.element_size()].float().sum()


def _load_sampler(recipe: Recipe) -> Sampler:
    return Sampler.load(recipe, lora_scale=1.0, device="cpu", texts=texts_for(recipe))


def _load_texts(recipe: Recipe) -> KolorsText:
    texts = load_encoder(recipe.base, "cpu")
    assert isinstance(texts, KolorsText)
    return texts


@torch.inference_mode()
def _encode(texts: KolorsText, _recipe: Recipe) -> dict[str, float]:
    started_s = time.monotonic()
    text = texts.encode("portrait of a person")
    return {"encode_s": time.monotonic() - started_s, "finite": float(torch.isfinite(text.embeddings).all())}


def modules_of(loaded: Sampler | KolorsText) -> Iterator[nn.Module]:
    """Yield what is held: the base's parts, the nets, the adapters' own modules and eyes; or the text encoder."""
    if isinstance(loaded, KolorsText):
        yield loaded.encoder
        return
    sampler = loaded
    owners: list[object] = [sampler.base, *sampler.adapters, *sampler.nets.values()]
    owners += [*sampler.pipeline.components.values()]
    for owner in owners:
        if isinstance(owner, nn.Module):
            yield owner
            continue
        for part in vars(owner).values() if hasattr(owner, "__dict__") else ():
            if isinstance(part, nn.Module):
                yield part
            elif hasattr(part, "__dict__"):  # an adapter's eye
                yield from (inner for inner in vars(part).values() if isinstance(inner, nn.Module))


@torch.inference_mode()
def _steps(sampler: Sampler, recipe: Recipe) -> dict[str, float]:
    """Return seconds and operations of one call of the UNet, with guidance and all nets, for one picture."""
    bucket = replace(
        bucket_for(recipe, all_controls=True),
        width=SIDE_PX,
        height=SIDE_PX,
        num_inference_steps=STEPS,
        scheduler="euler",
        guidance_scale=5.0,
    )
    (row,) = rows_for(recipe, bucket, 1)
    calls: list[float] = []
    hook = sampler.base.denoiser.register_forward_hook(lambda *_args: calls.append(time.monotonic()))
    conditions = sampler.condition([row], bucket)
    with FlopCounterMode(display=False, custom_mapping={CPU_ATTENTION: _attention_flop}) as counter:
        latents = sampler.denoise(conditions, bucket)
    pictures = sampler.base.decode(latents)
    hook.remove()
    return {
        "step_s": (calls[-1] - calls[0]) / (len(calls) - 1),
        "step_gflop": counter.get_total_flops() / len(calls) / 1e9,
        "finite": float(all(picture is not None for picture in pictures)),
    }


def _attention_flop(query: Any, key: Any, value: Any, *_rest: Any, **_words: Any) -> int:  # noqa: ANN401
    # shapes, as the counter hands them on
    flop: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
    return flop


def main() -> None:
    """Print what was found; then, when asked on stdin, stay until told to go: somebody measures another one beside."""
    name, what, *words = sys.argv[1:]
    found, loaded = probe(load_recipes(load_config(words))[name], what)
    print(json.dumps(found), flush=True)
    for line in sys.stdin:
        if line.strip() == "share":
            _touch(loaded)
            print(json.dumps({"pss": share(), "private": Memory.of().private}), flush=True)


if __name__ == "__main__":
    main()
