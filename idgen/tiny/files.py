"""The tiny worlds' table of contents: what `tiny:<name>` and `drawn:<name>` mean, what each file is. No torch."""

from dataclasses import dataclass
from typing import Literal

FamilyName = Literal["sd15", "sdxl", "kolors"]
EncoderName = Literal["", "clip_vit_h", "clip_vit_bigg", "clip_vit_l_336"]


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """One adapter file under the hub's name."""

    file: str
    kind: str
    """A line of idgen/recipes/variants.py."""
    family: FamilyName
    encoder: EncoderName = ""
    """Name of the image encoder it was made for; empty = it looks at no pixels."""
    table: str = "ip_adapter"
    """What the file calls its layers, beside `image_proj`."""

    @property
    def name(self) -> str:
        """After `tiny:`, the file's name in regular letters: ip-adapter-faceid-plus_sd15.bin is faceid_plus_sd15.

        Kolors' files, whose names do not say what they belong to, are called by their kind.
        """
        if self.family == "kolors":
            return self.kind
        stem = self.file.rpartition(".")[0].lower().replace("-", "_")
        return stem.replace("ip_adapter_faceid", "faceid")


_ADAPTER_FILES = (
    AdapterFile("ip-adapter_sd15.safetensors", "ip_adapter", "sd15", "clip_vit_h"),
    AdapterFile("ip-adapter_sd15_vit-G.safetensors", "ip_adapter", "sd15", "clip_vit_bigg"),
    AdapterFile("ip-adapter-plus_sd15.safetensors", "ip_adapter_plus", "sd15", "clip_vit_h"),
    AdapterFile("ip-adapter-plus-face_sd15.safetensors", "ip_adapter_plus_face", "sd15", "clip_vit_h"),
    AdapterFile("ip-adapter-full-face_sd15.safetensors", "ip_adapter_full_face", "sd15", "clip_vit_h"),
    AdapterFile("ip-adapter_sdxl.safetensors", "ip_adapter", "sdxl", "clip_vit_bigg"),
    AdapterFile("ip-adapter_sdxl_vit-h.safetensors", "ip_adapter", "sdxl", "clip_vit_h"),
    AdapterFile("ip-adapter-plus_sdxl_vit-h.safetensors", "ip_adapter_plus", "sdxl", "clip_vit_h"),
    AdapterFile("ip-adapter-plus-face_sdxl_vit-h.safetensors", "ip_adapter_plus_face", "sdxl", "clip_vit_h"),
    AdapterFile("ip-adapter-faceid_sd15.bin", "faceid", "sd15"),
    AdapterFile("ip-adapter-faceid_sdxl.bin", "faceid", "sdxl"),
    AdapterFile("ip-adapter-faceid-plus_sd15.bin", "faceid_plus", "sd15", "clip_vit_h"),
    AdapterFile("ip-adapter-faceid-plusv2_sd15.bin", "faceid_plusv2", "sd15", "clip_vit_h"),
    AdapterFile("ip-adapter-faceid-plusv2_sdxl.bin", "faceid_plusv2", "sdxl", "clip_vit_h"),
    AdapterFile("ip-adapter-faceid-portrait_sd15.bin", "faceid_portrait", "sd15"),
    AdapterFile("ip-adapter-faceid-portrait-v11_sd15.bin", "faceid_portrait", "sd15"),
    AdapterFile("ip-adapter-faceid-portrait_sdxl.bin", "faceid_portrait", "sdxl"),
    AdapterFile("ip-adapter-faceid-portrait_sdxl_unnorm.bin", "faceid_portrait_unnorm", "sdxl"),
    AdapterFile("ipa-faceid-plus.bin", "kolors_faceid_plus", "kolors", "clip_vit_l_336", "adapter_modules"),
    AdapterFile("ip_adapter_plus_general.bin", "kolors_ip_adapter_plus", "kolors", "clip_vit_l_336"),
)
INSTANTID = AdapterFile("instantid/ip-adapter.bin", "instantid", "sdxl")
ADAPTERS: dict[str, AdapterFile] = {one.name: one for one in _ADAPTER_FILES}
"""The IP-Adapter family, where a file is all that an adapter needs beside its encoder."""

PATHS: dict[str, str] = {
    "sd15": "sd15",
    "sdxl": "sdxl",
    "kolors": "kolors",
    "sdxl_lightning_unet": "sdxl_lightning_4step_unet.safetensors",
    "clip_vit_h": "clip-vit-h-14",
    "clip_vit_bigg": "clip-vit-bigg-14",
    "clip_vit_l_336": "clip-vit-large-patch14-336",
    "control_sd15": "controlnet-sd15",
    "control_sdxl": "controlnet-sdxl",
    "lcm_lora_sd15": "lcm-lora-sdv1-5/pytorch_lora_weights.safetensors",
    "lcm_lora_sdxl": "lcm-lora-sdxl/pytorch_lora_weights.safetensors",
    **{name: one.file for name, one in ADAPTERS.items()},
    "instantid": INSTANTID.file,
    "identity_net": "instantid/ControlNetModel",
    "ecomid_net": "SDXL-EcomID",
    "control_inpaint": "EcomXL_controlnet_inpaint",
    "control_softedge": "EcomXL_controlnet_softedge",
    "pulid_v1": "pulid_v1.bin",
    "pulid_v1_1": "pulid_v1.1.safetensors",
    "pulid_v1_sdxl": "ip-adapter_pulid_sdxl_fp16.safetensors",
    "eva_clip": "eva02-clip/EVA02_CLIP_L_336_psz14_s6B.pt",
    "face_parser": "parsing_bisenet.pth",
}
"""Name after `tiny:` or `drawn:` -> file or folder inside the world; the drawn one has some of them."""
