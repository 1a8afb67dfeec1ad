"""Stable Diffusion 1.5: UNet, VAE, one CLIP text encoder."""

from typing import ClassVar

import torch

from idgen.networks import transfers
from idgen.recipes.families import FamilyName
from idgen.sampling.caches import Text
from idgen.sampling.families.pipelines import Kinds
from idgen.sampling.families.unet import UnetBase
from idgen.sampling.prompt_pieces import pieces


class Sd15(UnetBase):
    """See the module's docstring; follows idgen.sampling.families.protocol.LoadedBase."""

    FAMILY: ClassVar[FamilyName] = "sd15"
    KINDS = Kinds(
        plain="StableDiffusionPipeline",
        controlled="StableDiffusionControlNetPipeline",
        from_image="StableDiffusionImg2ImgPipeline",
        from_image_controlled="StableDiffusionControlNetImg2ImgPipeline",
        settings={"requires_safety_checker": False},
    )
    WITHOUT = {  # noqa: RUF012
        "safety_checker": None,
        "feature_extractor": None,
        "image_encoder": None,
        "requires_safety_checker": False,
    }
    TOWERS = (("tokenizer", "text_encoder"),)
    UPCASTS = False

    def encode_here(self, prompt: str) -> Text:
        """Same as the pipeline's `encode_prompt`, unless the recipe reads prompts otherwise."""
        encoder = self.pipeline.text_encoder
        read, cut = pieces(self.pipeline.tokenizer, prompt, self.prompts)
        states = [piece.weigh(encoder(transfers.upload(piece.ids, encoder.device))[0][0]) for piece in read]
        return Text(torch.cat(states).to(self.dtype), tokens_cut=cut)
