"""The loop that a user would write with diffusers alone: a stock pipeline, one picture at a time, saved as PNG.

Its adapter is loaded by `load_ip_adapter` where diffusers can read it; `leaves_out` says what the loop lacks. Face
analysis is in neither loop.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import torch
from accelerate import init_empty_weights
from diffusers import ControlNetModel, DiffusionPipeline
from diffusers.models.embeddings import IPAdapterFaceIDPlusImageProjection
from safetensors.torch import load_file
from torch import Tensor, nn

from idgen import weights
from idgen.recipes.families import FAMILIES
from idgen.recipes.recipe import AdapterSpec, Control, Recipe
from idgen.sampling.families.protocol import TextSource
from idgen.sampling.families.table import READERS
from idgen.sampling.reading import DTYPES
from idgen.sampling.rows import Bucket, SampleRow
from idgen.schemas import EMBEDDING_WIDTH
from idgen.weights.headers import shapes_of

READABLE = ("faceid", "faceid_plusv2", "instantid")
"""Kinds of adapters that diffusers reads."""
LOOKS = ("faceid_plusv2",)
"""Of those: with an image encoder, whose look at a face the loop does not repeat."""
WITH_LORA = ("faceid", "faceid_plusv2")
"""Of those: with a LoRA in the same file."""
HIDDEN_WIDTH = 2 * EMBEDDING_WIDTH
"""Of the official files' projections; diffusers reads no other, as the tiny world's."""
FEATURES = (257, 1280)
"""[L, D] of what ViT-H says of a picture."""


class PlainLoop:
    """One recipe's stock pipeline, ready to run."""

    def __init__(self, recipe: Recipe, device: torch.device, texts: TextSource | None) -> None:
        """With `texts` the text encoder is not loaded: it runs ahead in ours too, as Kolors' does."""
        (self.spec,) = recipe.adapters
        self.dtype = DTYPES[recipe.base.dtype]
        self.device = device
        self.texts = texts
        self.pipeline: DiffusionPipeline = _pipeline(recipe, self.dtype, texts is not None)
        self.adapter = readable(self.spec)
        if self.adapter:
            _load_adapter(self.pipeline, self.spec)
        self.pipeline.set_progress_bar_config(disable=True)
        self.pipeline.to(device)
        self.shown = bool(recipe.controls)

    @property
    def leaves_out(self) -> str:
        """What it does not do and ours does."""
        lacks = []
        if not self.adapter:
            known = " with projections of this width" if self.spec.kind in READABLE else ""
            lacks.append(f"the adapter {self.spec.kind}, which diffusers does not read{known}")
        elif self.spec.kind in LOOKS:
            lacks.append("the image encoder's look at the face")
        if self.shown:
            lacks.append("the face's tokens for IdentityNet, which is shown the text")
        return "; ".join(lacks)

    def save(self, row: SampleRow, bucket: Bucket, path: Path) -> None:
        """Make a row's picture and save it."""
        self._call(row, bucket, bucket.num_inference_steps, "pil").save(path)

    def denoise(self, row: SampleRow, bucket: Bucket, steps: int) -> Tensor:
        """Return a row's last latents after `steps` steps."""
        latents: Tensor = self._call(row, bucket, steps, "latent")
        return latents

    def _call(self, row: SampleRow, bucket: Bucket, steps: int, output_type: str) -> Any:  # noqa: ANN401 - an image, or latents
        words: dict[str, object] = {
            "width": bucket.width,
            "height": bucket.height,
            "num_inference_steps": steps,
            "guidance_scale": bucket.guidance_scale,
            "generator": torch.Generator(self.device).manual_seed(row.seed),
            "output_type": output_type,
        }
        words |= self._texts(row) if self.texts else {"prompt": row.prompt, "negative_prompt": row.negative_prompt}
        if self.adapter:
            self.pipeline.set_ip_adapter_scale(row.ip_adapter_scale)
            words["ip_adapter_image_embeds"] = [self._person(row)]
        if self.shown:
            words["image"] = torch.from_numpy(row.control_images["identity"]).permute(2, 0, 1)[None] / 255
            words["controlnet_conditioning_scale"] = row.identity_scale
        return self.pipeline(**words).images[0]

    def _texts(self, row: SampleRow) -> dict[str, Tensor]:
        assert self.texts is not None
        words = {}
        for name, prompt in (("", row.prompt), ("negative_", row.negative_prompt or "")):
            text = self.texts.get(prompt).to(self.device, self.dtype)
            assert text.pooled is not None
            words[f"{name}prompt_embeds"] = text.whole()[None]
            words[f"{name}pooled_prompt_embeds"] = text.pooled[None]
        return words

    def _person(self, row: SampleRow) -> Tensor:
        """[2, 1, 1, 512], nobody first, as diffusers' guide to FaceID has it."""
        raw = torch.from_numpy(row.id_embedding)
        one = raw if self.spec.kind == "instantid" else torch.nn.functional.normalize(raw, dim=-1)
        pair = torch.stack([torch.zeros_like(one), one])[:, None]
        if self.spec.kind in LOOKS:
            layer: IPAdapterFaceIDPlusImageProjection = next(
                one for one in self._modules() if isinstance(one, IPAdapterFaceIDPlusImageProjection)
            )
            width = layer.proj_in.in_features
            layer.clip_embeds = torch.randn(2, 1, FEATURES[0], width).to(self.device, self.dtype)
            layer.shortcut = True
        return pair.to(self.device, self.dtype)

    def _modules(self) -> Iterator[nn.Module]:
        for part in self.pipeline.components.values():
            yield from part.modules() if isinstance(part, nn.Module) else ()


def _pipeline(recipe: Recipe, dtype: torch.dtype, texts_given: bool) -> DiffusionPipeline:
    base = recipe.base
    at = weights.locate(base.weights, base.revision)
    reader, encoders = READERS[base.kind], FAMILIES[base.kind].text_encoders
    texts = {*encoders, *(name.replace("text_encoder", "tokenizer") for name in encoders)}
    parts = {name: setting for name, setting in reader.without.items() if name not in texts}
    if base.vae:
        parts["vae"] = diffusers.AutoencoderKL.from_pretrained(weights.locate(base.vae), dtype=dtype)
    if texts_given:
        parts |= dict.fromkeys(texts)
    if recipe.controls:
        (control,) = recipe.controls
        parts["controlnet"] = _net(control).to(dtype)
    kind = getattr(diffusers, reader.class_name(False, bool(recipe.controls)))
    variant = weights.weight_variant(at, FAMILIES[base.kind].denoiser)
    made = kind.from_pretrained(at, dtype=dtype, local_files_only=True, variant=variant, **parts)
    made.scheduler = diffusers.EulerDiscreteScheduler.from_config(made.scheduler.config)
    return made


def _net(control: Control) -> ControlNetModel:
    """Return IdentityNet as diffusers' own class; EcomID's has its settings elsewhere."""
    if not control.config:
        return diffusers.ControlNetModel.from_pretrained(weights.locate(control.weights), local_files_only=True)
    settings = diffusers.ControlNetModel.load_config(weights.locate(control.config))
    with init_empty_weights():  # drawing 1.3 G random numbers first takes seconds
        net = diffusers.ControlNetModel.from_config(settings)
    at = weights.locate(control.weights)
    net.load_state_dict(load_file(next(at.glob("*.safetensors")) if at.is_dir() else at), assign=True)
    return net


def readable(spec: AdapterSpec) -> bool:
    """Return whether diffusers reads the adapter's file."""
    if spec.kind not in WITH_LORA:
        return spec.kind in READABLE
    return shapes_of(weights.locate(spec.weights, spec.revision))["image_proj.proj.0.weight"][0] == HIDDEN_WIDTH


def _load_adapter(pipeline: DiffusionPipeline, spec: AdapterSpec) -> None:
    """Load it. Raises RuntimeError when its LoRA is not in the UNet then: without peft diffusers only warns."""
    path = weights.locate(spec.weights, spec.revision)
    pipeline.load_ip_adapter(
        str(path.parent), subfolder="", weight_name=path.name, image_encoder_folder=None, local_files_only=True
    )
    loaded = any(getattr(part, "peft_config", None) for part in pipeline.components.values())
    if spec.kind in WITH_LORA and not loaded:
        raise RuntimeError("diffusers did not load the adapter's LoRA: peft is missing or too old")
