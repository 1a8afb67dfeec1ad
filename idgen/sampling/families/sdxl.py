"""Stable Diffusion XL: a UNet that also gets sizes and a pooled text, a VAE, two CLIP text encoders."""

from typing import ClassVar

import torch
from torch import Tensor

from idgen.networks import transfers
from idgen.recipes.families import FamilyName
from idgen.sampling.caches import Text
from idgen.sampling.families.pipelines import Kinds
from idgen.sampling.families.unet import UnetBase
from idgen.sampling.parts import TextTower
from idgen.sampling.prompt_pieces import Piece, pieces


class Sdxl(UnetBase):
    """See the module's docstring; follows idgen.sampling.families.protocol.LoadedBase."""

    FAMILY: ClassVar[FamilyName] = "sdxl"
    KINDS = Kinds(
        plain="StableDiffusionXLPipeline",
        controlled="StableDiffusionXLControlNetPipeline",
        from_image="StableDiffusionXLImg2ImgPipeline",
        from_image_controlled="StableDiffusionXLControlNetImg2ImgPipeline",
        settings={"add_watermarker": False},
    )
    WITHOUT = {"feature_extractor": None, "image_encoder": None, "add_watermarker": False}  # noqa: RUF012
    TOWERS = (("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2"))
    UPCASTS = True

    def encode_here(self, prompt: str) -> Text:
        """Same as the pipeline's `encode_prompt`, unless the recipe reads prompts otherwise.

        Both encoders' last but one states; pooled is the second's, of a prompt's first piece.
        """
        tokenizers = [getattr(self.pipeline, tokenizer) for tokenizer, _ in self.TOWERS]
        read = [pieces(tokenizer, prompt, self.prompts) for tokenizer in tokenizers]
        length = max(len(own) for own, _ in read)
        states, pooled = [], None
        for tokenizer, (_, encoder), (own, _) in zip(tokenizers, self.TOWERS, read, strict=True):
            filled = own + pieces(tokenizer, "", self.prompts)[0] * (length - len(own))
            made = [self._states(piece, getattr(self.pipeline, encoder)) for piece in filled]
            states.append(torch.cat([state for state, _ in made]))
            pooled = made[0][1]  # of the first encoder these are states that nothing pools
        assert pooled is not None
        embeddings = torch.cat(states, dim=-1).to(self.dtype)
        return Text(embeddings, tokens_cut=max(cut for _, cut in read), pooled=pooled.to(self.dtype))

    def _states(self, piece: Piece, tower: TextTower) -> tuple[Tensor, Tensor]:
        """Return the states [L, D] of one piece and its pooled [P]."""
        out = tower(transfers.upload(piece.ids, tower.device), output_hidden_states=True)
        return piece.weigh(out.hidden_states[-2][0]), out[0][0]

    def no_text(self) -> Text:
        """Zeros where the pipeline says so, as SDXL's own does, else the empty prompt."""
        empty = self.encode("")
        if empty.pooled is None or not self.pipeline.config.force_zeros_for_empty_prompt:
            return empty
        return Text(torch.zeros_like(empty.embeddings), pooled=torch.zeros_like(empty.pooled))
