"""The CLIP tower that turns pictures into features: OpenCLIP's ViT-H or bigG, OpenAI's ViT-L at 336 px (Kolors).

One picture at a time goes through it, so what stands beside a picture changes nothing; each picture goes once, however
many adapters and rows look at it.
"""

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor

from idgen.errors import Exit, RunError
from idgen.lru_cache import LruCache
from idgen.networks import transfers
from idgen.weights import single_files
from idgen.weights.unused import patterns

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
"""CLIP's, of every encoder in use; the official folders of IP-Adapter hold no preprocessor's config."""
CACHED_PICTURES = 64
"""Rows come sorted by person, and tokens have a cache of their own; ViT-H's features of a picture are 1.3 MB."""


@dataclass(frozen=True, slots=True)
class Features:
    """What adapters read of n pictures, float32."""

    image_embeds: Tensor
    """[n, E], the projected class token."""
    hidden_states: Tensor
    """[n, L, W] before the last layer (`hidden_states[-2]`); L = 257 for 224 px in patches of 14, 577 for 336."""


class _Tower(transformers.CLIPVisionModelWithProjection):  # type: ignore[misc]  # it carries no types
    """Read from the folder of a whole CLIP as well, as Kolors' FaceID-Plus brings one: its text half is left out."""

    _keys_to_ignore_on_load_unexpected = tuple(f"^(?:{names})$" for names in patterns("image_encoder"))


class ImageEncoder:
    """A loaded encoder; one is shared by all adapters of a recipe that name the same location."""

    def __init__(self, model: transformers.CLIPVisionModelWithProjection) -> None:
        self.model = model.requires_grad_(False).eval()
        self.encodings = 0
        """Pictures that went through the model, zeros not counted."""
        self._cache: LruCache[bytes, Features] = LruCache(lambda _: 1, CACHED_PICTURES)

    @classmethod
    def load(cls, folder: Path, dtype: torch.dtype) -> "ImageEncoder":
        """Return the encoder in a local `folder` (config.json and weights). RunError(USAGE) when it has none."""
        transformers.utils.logging.disable_progress_bar()
        try:
            model, info = _Tower.from_pretrained(
                folder,
                config=_config(folder),
                dtype=dtype,
                local_files_only=True,
                attn_implementation="sdpa",
                output_loading_info=True,
            )
        except Exception as error:  # files that are something else raise errors of many kinds
            raise RunError(
                Exit.USAGE,
                f"{folder} cannot be loaded as a CLIP vision model with projection: {str(error).partition(chr(10))[0]}",
            ) from error
        if info["missing_keys"]:  # transformers would go on with random weights in their place
            raise RunError(
                Exit.USAGE,
                f"{folder} is not a CLIP vision model with projection: {len(info['missing_keys'])} tensors are "
                f"missing, such as {min(info['missing_keys'])}",
            )
        single_files.check_expected(info["unexpected_keys"], folder, "CLIP's image encoder", "image_encoder")
        return cls(model)

    @property
    def side_px(self) -> int:
        """Side of the square it looks at."""
        return int(self.model.config.image_size)

    @property
    def embed_width(self) -> int:
        """E of Features: 1024 for ViT-H, 1280 for bigG."""
        return int(self.model.config.projection_dim)

    @property
    def hidden_width(self) -> int:
        """W of Features: 1280 for ViT-H, 1664 for bigG."""
        return int(self.model.config.hidden_size)

    @property
    def positions(self) -> int:
        """L of Features: the patches, and the class token."""
        return int((self.side_px // self.model.config.patch_size) ** 2) + 1

    def to(self, device: torch.device) -> None:
        """Move the model; what was computed is forgotten."""
        self.model.to(device)
        self.clear()
        self.__dict__.pop("zeros", None)

    def clear(self) -> None:
        """Forget all pictures."""
        self._cache.clear()

    def features(self, pixels: NDArray[np.uint8]) -> Features:
        """Return features of square pictures [n, S, S, 3] in the channel order that the adapter's authors feed.

        Raises ValueError when the pictures have another shape.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (self.side_px, self.side_px, 3):
            raise ValueError(f"pixels {pixels.dtype} {pixels.shape} are not for an encoder of {self.side_px} px")
        each = [self._one(picture) for picture in pixels]
        return Features(torch.cat([one.image_embeds for one in each]), torch.cat([one.hidden_states for one in each]))

    @cached_property
    def zeros(self) -> Features:
        """What stands for "no picture", n = 1: zero embeddings, but the hidden states of an all-zero pixel tensor.

        Zeros are the mean colour, as they come after the normalisation.
        """
        seen = self._forward(torch.zeros(1, 3, self.side_px, self.side_px))
        return Features(torch.zeros_like(seen.image_embeds), seen.hidden_states)

    def _one(self, picture: NDArray[np.uint8]) -> Features:
        digest = blake2b(picture.tobytes(), digest_size=16).digest()
        return self._cache.get_or_make(digest, lambda: self._encode(picture))

    def _encode(self, picture: NDArray[np.uint8]) -> Features:
        self.encodings += 1
        return self._forward(normalise(picture)[None])

    def _forward(self, pixel_values: Tensor) -> Features:
        out = self.model(transfers.upload(pixel_values, self.model.device, self.model.dtype), output_hidden_states=True)
        return Features(out.image_embeds.float(), out.hidden_states[-2].float())


def _config(folder: Path) -> transformers.CLIPVisionConfig:
    """Return the tower's settings; a whole CLIP projects to the width that its outer settings say."""
    config = transformers.CLIPVisionConfig.from_pretrained(folder, local_files_only=True)
    outer, _ = transformers.CLIPVisionConfig.get_config_dict(folder, local_files_only=True)
    if "vision_config" in outer and "projection_dim" in outer:
        config.projection_dim = outer["projection_dim"]
    return config


def dtype_beside(base: torch.dtype, *, exact: bool = False) -> torch.dtype:
    """Return the encoder's dtype beside a base's: as the originals in float16, but never bfloat16.

    bfloat16 costs seven times float16's error in the tokens. `exact` is for originals that run it in float32.
    """
    return torch.float32 if exact or base == torch.bfloat16 else base


def normalise(picture: NDArray[np.uint8]) -> Tensor:
    """Return `pixel_values` [3, S, S], float32, of a picture [S, S, 3]: the bits that CLIP's image processor gives."""
    rescaled = (picture.astype(np.float64) * (1 / 255)).astype(np.float32)
    return torch.from_numpy(((rescaled - MEAN) / STD).transpose(2, 0, 1).copy())
