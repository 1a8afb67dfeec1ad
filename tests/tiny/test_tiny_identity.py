"""The tiny files of InstantID, PuLID and EcomID hold exactly the official keys in the official shapes, scaled down.

The keys are spelt out here once more, so that a slip in the maker, or in the modules it asks, shows.
"""

import json

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from safetensors.torch import load_file
from test_tiny_layouts import expected_layers, linear, norm, resampler

from idgen.faces import alignment
from idgen.networks import identity_net, pulid
from idgen.networks.eva_clip import EvaTower
from idgen.networks.face_features import WHITE_CLASSES, face_feature_image
from idgen.networks.face_parser import FaceParser
from idgen.recipes.variants import VARIANTS
from idgen.tiny import identity_nets, world
from idgen.tiny import pulid as pulid_files
from idgen.tiny.files import ADAPTERS, PATHS
from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render import draw_portrait

TEXT, EVA, WIDTH, COND = 128, 32, 64, 512 + 768
NETS = ("identity_net", "ecomid_net", "control_inpaint", "control_softedge")
OFFICIAL_NET = {
    "block_out_channels": (320, 640, 1280), "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * 2),
    "transformer_layers_per_block": (1, 2, 10), "attention_head_dim": (5, 10, 20), "cross_attention_dim": 2048,
    "use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
PARSER_TENSORS = 191


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


def mlp(name: str, seen: int, width: int, out: int) -> dict[str, list[int]]:
    layers = linear(f"{name}.0", width, seen) | norm(f"{name}.1", width) | linear(f"{name}.3", width, width)
    return layers | norm(f"{name}.4", width) | linear(f"{name}.6", out, width)


def encoder_v1() -> dict[str, list[int]]:
    shapes = mlp("body", COND, WIDTH, 5 * TEXT)
    for level in range(5):
        shapes |= mlp(f"mapping_{level}", EVA, WIDTH, TEXT) | mlp(f"mapping_patch_{level}", EVA, WIDTH, TEXT)
    return shapes


def encoder_v1_1() -> dict[str, list[int]]:
    shapes = {"latents": [1, 32, WIDTH], "proj_out": [WIDTH, TEXT]}
    shapes |= mlp("id_embedding_mapping", COND, WIDTH, 5 * WIDTH)
    for level in range(5):
        shapes |= mlp(f"mapping_{level}", EVA, WIDTH, WIDTH)
    perceiver = {}
    for number in range(10):
        at = f"layers.{number}"
        perceiver |= norm(f"{at}.0.norm1", WIDTH) | norm(f"{at}.0.norm2", WIDTH) | norm(f"{at}.1.0", WIDTH)
        perceiver |= {f"{at}.0.to_q.weight": [WIDTH, WIDTH], f"{at}.0.to_out.weight": [WIDTH, WIDTH]}
        perceiver |= {f"{at}.0.to_kv.weight": [2 * WIDTH, WIDTH]}
        perceiver |= {f"{at}.1.1.weight": [4 * WIDTH, WIDTH], f"{at}.1.3.weight": [WIDTH, 4 * WIDTH]}
    return shapes | perceiver


def tower() -> dict[str, list[int]]:
    hidden, angles = 85, [576, 16]
    shapes = {"cls_token": [1, 1, EVA], "pos_embed": [1, 577, EVA], "rope.freqs_cos": angles, "rope.freqs_sin": angles}
    shapes |= {"patch_embed.proj.weight": [EVA, 3, 14, 14], "patch_embed.proj.bias": [EVA]}
    shapes |= norm("norm", EVA) | linear("head", 768, EVA)
    for number in range(24):
        at = f"blocks.{number}"
        shapes |= norm(f"{at}.norm1", EVA) | norm(f"{at}.norm2", EVA)
        shapes |= {f"{at}.attn.{one}_proj.weight": [EVA, EVA] for one in "qkv"}
        shapes |= {f"{at}.attn.{one}_bias": [EVA] for one in "qv"}
        shapes |= norm(f"{at}.attn.inner_attn_ln", EVA) | linear(f"{at}.attn.proj", EVA, EVA)
        shapes |= {f"{at}.attn.rope.freqs_{one}": angles for one in ("cos", "sin")}
        shapes |= linear(f"{at}.mlp.w1", hidden, EVA) | linear(f"{at}.mlp.w2", hidden, EVA)
        shapes |= norm(f"{at}.mlp.ffn_ln", hidden) | linear(f"{at}.mlp.w3", EVA, hidden)
    return {f"visual.{name}": shape for name, shape in shapes.items()}


def branches(pattern: str) -> dict[str, list[int]]:
    """Keys of all 70 cross-attentions; `pattern` has their place and k or v."""
    shapes = {}
    for key, shape in expected_layers("sdxl", lora=False).items():
        index, _, rest = key.partition(".")
        shapes[pattern.format(index=index, part=rest.removeprefix("to_")[0])] = shape
    return shapes


FLAT = "id_adapter_attn_layers.{index}.id_to_{part}.weight"
RENAMED = "ip_adapter.{index}.to_{part}_ip.weight"


def read(name: str) -> dict[str, torch.Tensor]:
    path = world.locate(name)
    return load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)


def shapes_of(tensors: dict[str, torch.Tensor]) -> dict[str, list[int]]:
    return {key: list(tensor.shape) for key, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("name", "prefix", "encoder", "pattern", "dtype"),
    [
        ("pulid_v1", "id_adapter", encoder_v1, FLAT, torch.float32),
        ("pulid_v1_1", "id_adapter", encoder_v1_1, FLAT, torch.float16),
        ("pulid_v1_sdxl", "image_proj", encoder_v1, RENAMED, torch.float16),
    ],
)
def test_a_pulid_file_has_exactly_its_authors_keys(name, prefix, encoder, pattern, dtype):
    found = read(name)
    expected = {f"{prefix}.{key}": shape for key, shape in encoder().items()} | branches(pattern)
    assert shapes_of(found) == expected
    assert len(found) == {"pulid_v1_1": 172}.get(name, 110) + 140
    assert {tensor.dtype for tensor in found.values()} == {dtype}
    assert all(tensor.isfinite().all() for tensor in found.values())


def test_ecomid_s_file_is_pulid_v1_under_other_names():
    own, renamed = read("pulid_v1"), read("pulid_v1_sdxl")
    for name, tensor in own.items():
        other = name.replace("id_adapter_attn_layers", "ip_adapter").replace("id_adapter", "image_proj")
        for part in "kv":
            other = other.replace(f"id_to_{part}", f"to_{part}_ip")
        assert torch.equal(tensor.half(), renamed[other])


def test_instantid_s_file_has_a_resampler_of_the_embedding_and_70_branches():
    state = read("instantid")
    assert list(state) == ["image_proj", "ip_adapter"]
    assert shapes_of(state["image_proj"]) == {"latents": [1, 16, 96]} | resampler(512, 96, 128, TEXT)
    assert shapes_of(state["ip_adapter"]) == expected_layers("sdxl", lora=False)
    assert (len(state["image_proj"]), len(state["ip_adapter"])) == (51, 140)


@pytest.mark.parametrize("name", NETS)
def test_the_nets_are_sdxl_controlnets(name):
    with torch.device("meta"):
        official = set(ControlNetModel(**OFFICIAL_NET).state_dict())
    assert len(official) == 844
    same_width = {f"down_blocks.2.resnets.0.conv_shortcut.{part}" for part in ("weight", "bias")}  # tiny: 32 and 32
    file = world.locate(name) / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    assert set(tensors) == official - same_width
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32 if name == "ecomid_net" else torch.float16}
    bare = name == "ecomid_net"
    assert (file.parent / "config.json").exists() != bare
    net = identity_net.load(file.parent, torch.float32, config=world.locate("identity_net") if bare else None)
    assert all(conv.weight.abs().mean() > 0 for conv in (*net.controlnet_down_blocks, net.controlnet_mid_block))


def test_no_two_nets_are_the_same():
    sums = {
        name: sum(
            tensor.double().sum().item()
            for tensor in load_file(world.locate(name) / "diffusion_pytorch_model.safetensors").values()
        )
        for name in (*NETS, "control_sdxl")
    }
    assert len(set(sums.values())) == 5


def test_the_tower_has_the_official_keys_and_reads_pictures_apart():
    found = read("eva_clip")
    assert shapes_of(found) == tower()
    assert len(found) == 562
    settings = json.loads(world.locate("eva_clip").with_name("config.json").read_text())
    assert settings["vision_cfg"]["layers"] == 24
    seen = EvaTower.load(world.locate("eva_clip"))(features_of_the_drawn())
    for states in (torch.nn.functional.normalize(seen.pooled, dim=-1), *seen.hidden_states.flatten(2)):
        differs = (states - states.mean(dim=0)).norm(dim=1).mean() / states.norm(dim=1).mean()
        assert differs > 0.4


def test_the_parser_has_the_official_keys_an_eighth_as_wide():
    with torch.device("meta"):
        official = FaceParser().state_dict()
    found = read("face_parser")
    assert found.keys() == official.keys()
    assert len(found) == PARSER_TENSORS
    for name, tensor in found.items():
        wide = [side // 8 if side >= 64 else side for side in official[name].shape]
        assert list(tensor.shape) == wide, name


def test_the_parser_sees_something_of_a_drawn_face_and_not_only_that():
    labels = labels_of_the_drawn()
    for face in labels:
        white = torch.isin(face, torch.tensor(WHITE_CLASSES, dtype=face.dtype)).float().mean()
        assert 0.05 < white < 0.6
        assert len(face.unique()) > 5
    assert (labels[0] != labels[1]).float().mean() > 0.1


def test_every_kind_of_adapter_has_a_tiny_file():
    kinds = {"instantid", "pulid_v1", "pulid_v1_1"} | {"ecomid"}  # pulid_v1_sdxl
    assert {file.kind for file in ADAPTERS.values()} | kinds == set(VARIANTS)
    assert {"instantid", "pulid_v1", "pulid_v1_1", "pulid_v1_sdxl"} <= PATHS.keys()


def drawn() -> np.ndarray:
    """Two people's aligned faces, [2, 512, 512, 3]."""
    pictures = [draw_portrait(DrawnPerson.sample(seed), Look.sample(seed + 1000, calm=True), 320) for seed in (0, 4)]
    return np.stack([alignment.align(one.image, np.asarray(one.keypoints, np.float64)[0]) for one in pictures])


def labels_of_the_drawn() -> torch.Tensor:
    return FaceParser.from_weights(read("face_parser"), "the tiny one").labels(drawn())


def features_of_the_drawn() -> torch.Tensor:
    return pulid.face_features(face_feature_image(drawn(), labels_of_the_drawn()), 336, antialias=True)


def test_made_again_the_files_have_the_same_bytes(tmp_path):
    identity_nets.write(tmp_path)
    pulid_files.write(tmp_path)
    again = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(again) == 4 + 3 + 3 + 3  # nets with three settings; PuLIDs; tower with settings and parser
    for path in again:
        assert path.read_bytes() == (world.ensure() / path.relative_to(tmp_path)).read_bytes(), path.name
