"""Stable Diffusion 1.5: UNet, VAE, one CLIP text encoder."""

from idgen.networks import transfers
from idgen.sampling import stock
from idgen.sampling.caches import Text
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
        """Same as the pipeline's `encode_prompt`."""
        encoder = self.pipeline.text_encoder
        ids, cut = stock.tokenize(self.pipeline.tokenizer, prompt)
        embeddings = encoder(transfers.upload(ids, encoder.device))[0][0].to(self.dtype)
        return Text(embeddings, tokens_cut=cut)

    def no_text(self) -> Text:
        """The empty prompt, as the pipeline has it."""
        return self.encode("")
