"""What is used here of diffusers' parts, which carry no types: for annotations alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypedDict

import torch
from torch import Tensor, nn

from idgen.networks import attention


class VaeConfig(Protocol):
    """A VAE's settings; some have latents_mean and latents_std, too."""

    @property
    def scaling_factor(self) -> float:
        """By which its UNet has the latents larger."""
        ...

    @property
    def block_out_channels(self) -> Sequence[int]:
        """One for each size of the picture that the network goes through."""
        ...


class _Posterior(Protocol):
    parameters: Tensor
    """Mean and logarithm of the variance, [B, 2 C, h, w]."""


class _Encoded(Protocol):
    latent_dist: _Posterior


class Vae(Protocol):
    """The network between pictures and latents."""

    @property
    def config(self) -> VaeConfig:
        """Its settings."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it is."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        ...

    def encode(self, x: Tensor) -> _Encoded:
        """Return what latents of pictures [B, 3, H, W] in -1..1 are drawn from."""
        ...

    def decode(self, z: Tensor, *, return_dict: bool) -> tuple[Tensor, ...]:
        """Return pictures [B, 3, H, W] of latents [B, C, h, w], the only one of a tuple."""
        ...


class ModelKind(Protocol):
    """A class of models, of diffusers or of transformers."""

    @property
    def __name__(self) -> str: ...

    def load_config(self, path: str, *, subfolder: str, local_files_only: bool) -> dict[str, object]:
        """Return the settings in a folder."""
        ...

    def from_config(self, config: Mapping[str, object]) -> nn.Module:
        """Return a model of these settings, without weights."""
        ...

    def from_pretrained(
        self, folder: Path, *, output_loading_info: bool, **options: object
    ) -> "tuple[Any, LoadingInfo]":
        """Return the model of a folder, and what of its weights was not read or was not there."""
        ...

    def from_single_file(self, file: "str | dict[str, Tensor]", **options: object) -> nn.Module:
        """Return the model in a file of the original layout, or in its tensors."""
        ...


class LoadingInfo(TypedDict):
    """What libraries tell of a folder's weights."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class PipelineKind(Protocol):
    """A class of diffusers' pipelines."""

    @property
    def __name__(self) -> str: ...

    def from_pretrained(self, folder: Path, **options: object) -> Any:  # noqa: ANN401
        """Return the pipeline of a folder."""
        ...

    def from_single_file(self, file: str, **options: object) -> Any:  # noqa: ANN401
        """Return the pipeline of a file in the original layout."""
        ...


class _States(Protocol):
    hidden_states: Sequence[Tensor]
    """[B, L, D] of the embeddings and of every layer."""

    def __getitem__(self, at: int) -> Tensor: ...


class TextTower(Protocol):
    """A text encoder of CLIP."""

    @property
    def device(self) -> torch.device:
        """Where it is."""
        ...

    def __call__(self, ids: Tensor, *, output_hidden_states: bool) -> _States:
        """Return what it makes of ids [B, L]."""
        ...


class NetConfig(Mapping[str, object]):
    """A UNet's or a ControlNet's settings, which are attributes too. Nothing is made of this class."""

    in_channels: int
    addition_embed_type: str | None
    global_pool_conditions: bool


class Denoiser(attention.Unet, Protocol):
    """A UNet or a ControlNet as its settings and attentions show it."""

    @property
    def config(self) -> NetConfig:
        """Its settings."""
        ...
