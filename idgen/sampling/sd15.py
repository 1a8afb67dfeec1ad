"""Stable Diffusion 1.5: UNet, VAE, one CLIP text encoder."""

import torch

from idgen.networks import transfers
from idgen.sampling import stock
from idgen.sampling.caches import Text
from idgen.sampling.prompt_pieces import pieces
from idgen.sampling.reading import UNET_PREFIX


class Sd15Base(stock.StockBase):
    """See the module's docstring; follows idgen.sampling.bases.LoadedBase."""

    PIPELINE = "StableDiffusionPipeline"
    SETTINGS = {  # noqa: RUF012
        "safety_checker": None,
        "feature_extractor": None,
        "image_encoder": None,
        "requires_safety_checker": False,
    }
    TOWERS = (("tokenizer", "text_encoder"),)
    PREFIXES = (UNET_PREFIX, "cond_stage_model.")
    FAMILY = "sd15"
    UPCASTS = False

    def encode(self, prompt: str) -> Text:
        """Same as the pipeline's `encode_prompt`, unless the recipe reads prompts otherwise."""
        encoder = self.pipeline.text_encoder
        read, cut = pieces(self.pipeline.tokenizer, prompt, self.prompts)
        states = [piece.weigh(encoder(transfers.upload(piece.ids, encoder.device))[0][0]) for piece in read]
        return Text(torch.cat(states).to(self.dtype), tokens_cut=cut)

    def no_text(self) -> Text:
        """The empty prompt, as the pipeline has it."""
        return self.encode("")
