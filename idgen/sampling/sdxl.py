"""Stable Diffusion XL: a UNet that also gets sizes and a pooled text, a VAE, two CLIP text encoders."""

import torch

from idgen.networks import transfers
from idgen.sampling import stock
from idgen.sampling.caches import Text
from idgen.sampling.reading import UNET_PREFIX


class SdxlBase(stock.StockBase):
    """See the module's docstring; follows idgen.sampling.bases.LoadedBase."""

    PIPELINE = "StableDiffusionXLPipeline"
    SETTINGS = {"feature_extractor": None, "image_encoder": None, "add_watermarker": False}  # noqa: RUF012
    TOWERS = (("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2"))
    PREFIXES = (UNET_PREFIX, "conditioner.embedders.0.", "conditioner.embedders.1.")
    FAMILY = "sdxl"
    UPCASTS = True

    def encode(self, prompt: str) -> Text:
        """Same as the pipeline's `encode_prompt`: both encoders' last but one states; pooled is the second's."""
        states, cuts, pooled = [], [], None
        for tokenizer, encoder in self.TOWERS:
            tower = getattr(self.pipeline, encoder)
            ids, cut = stock.tokenize(getattr(self.pipeline, tokenizer), prompt)
            out = tower(transfers.upload(ids, tower.device), output_hidden_states=True)
            states.append(out.hidden_states[-2])
            cuts.append(cut)
            pooled = out[0]  # of the first encoder these are states that nothing pools
        assert pooled is not None
        embeddings = torch.cat(states, dim=-1)[0].to(self.dtype)
        return Text(embeddings, tokens_cut=max(cuts), pooled=pooled[0].to(self.dtype))

    def no_text(self) -> Text:
        """Zeros where the pipeline says so, as SDXL's own does, else the empty prompt."""
        empty = self.encode("")
        if empty.pooled is None or not self.pipeline.config.force_zeros_for_empty_prompt:
            return empty
        return Text(torch.zeros_like(empty.embeddings), pooled=torch.zeros_like(empty.pooled))
