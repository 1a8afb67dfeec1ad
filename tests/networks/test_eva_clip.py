"""EVA02-CLIP's tower: the official tensors at full size, the formula written out, only files that are one."""

import json

import pytest
import torch
from torch.nn import functional

from idgen.errors import Exit, RunError
from idgen.networks.eva_clip import EvaConfig, EvaTower, rotations

SMALL = EvaConfig(
    side_px=6, patch_px=2, layers=21, width=16, head_width=8, mlp_width=10, pooled_width=7, trained_grid=2
)
OFFICIAL_JSON = {
    "embed_dim": 768,
    "vision_cfg": {
        "image_size": 336,
        "layers": 24,
        "width": 1024,
        "drop_path_rate": 0,
        "head_width": 64,
        "mlp_ratio": 2.6667,
        "patch_size": 14,
        "eva_model_name": "eva-clip-l-14-336",
        "xattn": True,
        "fusedLN": True,
        "rope": True,
        "pt_hw_seq_len": 16,
        "intp_freq": True,
        "naiveswiglu": True,
        "subln": True,
    },
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 768, "heads": 12, "layers": 12},
}


def shapes_of(layers, width, positions, patch, mlp, pooled):
    shapes = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, positions, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
        "head.weight": (pooled, width),
        "head.bias": (pooled,),
    }
    block = {f"attn.{one}": (width,) for one in ("q_bias", "v_bias", "proj.bias")}
    block |= {f"attn.{one}.weight": (width, width) for one in ("q_proj", "k_proj", "v_proj", "proj")}
    for norm, size in (("norm1", width), ("norm2", width), ("attn.inner_attn_ln", width), ("mlp.ffn_ln", mlp)):
        block |= {f"{norm}.weight": (size,), f"{norm}.bias": (size,)}
    for linear, rows, columns in (("w1", mlp, width), ("w2", mlp, width), ("w3", width, mlp)):
        block |= {f"mlp.{linear}.weight": (rows, columns), f"mlp.{linear}.bias": (rows,)}
    return shapes | {f"blocks.{n}.{key}": shape for n in range(layers) for key, shape in block.items()}


OFFICIAL = shapes_of(24, 1024, 577, 14, 2730, 768)


OFFICIAL_PARAMETERS = 304_432_832
"""With CLIP-L's text half, 123,650,305, these are 856.2 MB in float16; the published file is 856,461,210 bytes."""


def small_weights(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = shapes_of(21, 16, 10, 2, 10, 7)
    return {f"visual.{name}": torch.randn(shape, generator=generator).half() / 3 for name, shape in shapes.items()}


def pixels(count=2, seed=1):
    return torch.randn(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))


def written_out(weights, image):
    """Pooled and all blocks' outputs of one picture [3, 6, 6], by another road: patches cut by hand, attention head by
    head, and rotary positions as products of complex numbers."""
    weights = {name.removeprefix("visual."): tensor.float() for name, tensor in weights.items()}

    def norm(name, x):
        return functional.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6)

    def linear(name, x):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    cut = [image[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] for row in range(3) for column in range(3)]
    kernel = weights["patch_embed.proj.weight"].flatten(1)
    x = torch.stack([kernel @ one.flatten() for one in cut]) + weights["patch_embed.proj.bias"]
    x = torch.cat([weights["cls_token"][0], x]) + weights["pos_embed"][0]

    speeds = torch.tensor([1.0, 10000.0**-0.5])  # half a head is 4 numbers, 2 pairs
    angles = [torch.zeros(4)]
    for row in range(3):
        for column in range(3):
            angles.append(torch.cat([row * 2 / 3 * speeds, column * 2 / 3 * speeds]))
    turn = torch.polar(torch.ones(10, 4), torch.stack(angles))

    def turned(part):
        return torch.view_as_real(torch.view_as_complex(part.reshape(10, 4, 2).contiguous()) * turn).flatten(1)

    outputs = []
    for number in range(21):
        of = f"blocks.{number}"
        seen = norm(f"{of}.norm1", x)
        query = seen @ weights[f"{of}.attn.q_proj.weight"].T + weights[f"{of}.attn.q_bias"]
        key = seen @ weights[f"{of}.attn.k_proj.weight"].T
        value = seen @ weights[f"{of}.attn.v_proj.weight"].T + weights[f"{of}.attn.v_bias"]
        heads = []
        for head in (slice(0, 8), slice(8, 16)):
            match = turned(query[:, head]) @ turned(key[:, head]).T / 8**0.5
            heads.append(torch.softmax(match, -1) @ value[:, head])
        x = x + linear(f"{of}.attn.proj", norm(f"{of}.attn.inner_attn_ln", torch.cat(heads, -1)))
        seen = norm(f"{of}.norm2", x)
        gate = linear(f"{of}.mlp.w1", seen)
        fed = gate * torch.sigmoid(gate) * linear(f"{of}.mlp.w2", seen)
        x = x + linear(f"{of}.mlp.w3", norm(f"{of}.mlp.ffn_ln", fed))
        outputs.append(x)
    return linear("head", norm("norm", x))[0], outputs


def test_a_full_size_tower_holds_exactly_the_official_tensors_and_none_of_the_text_half():
    rotary = [f"{of}rope.freqs_{kind}" for of in ("", "blocks.7.attn.") for kind in ("cos", "sin")]
    given = {f"visual.{name}": shape for name, shape in OFFICIAL.items()}
    given |= {f"visual.{name}": (576, 64) for name in rotary} | {"logit_scale": (), "text.token_embedding.weight": (9,)}
    weights = {name: torch.empty(shape, dtype=torch.float16, device="meta") for name, shape in given.items()}
    tower = EvaTower.from_weights(weights, EvaConfig(), "a file")
    assert {name: tuple(tensor.shape) for name, tensor in tower.state_dict().items()} == OFFICIAL
    assert len(OFFICIAL) == 512
    assert sum(one.numel() for one in tower.parameters()) == OFFICIAL_PARAMETERS
    seen = tower(torch.empty(3, 3, 336, 336, device="meta"))
    assert seen.pooled.shape == (3, 768)
    assert seen.hidden_states.shape == (5, 3, 577, 1024)
    assert {seen.pooled.dtype, seen.hidden_states.dtype, tower.cos.dtype} == {torch.float32}
    assert not any(one.requires_grad for one in tower.parameters())


def test_the_tower_is_the_formula_written_out_and_its_levels_are_the_raw_outputs_of_five_blocks():
    weights = small_weights()
    seen = EvaTower.from_weights(weights, SMALL, "a file")(pixels())
    assert seen.hidden_states.shape == (5, 2, 10, 16)
    for number, image in enumerate(pixels()):
        pooled, outputs = written_out(weights, image)
        torch.testing.assert_close(seen.pooled[number], pooled, atol=1e-4, rtol=1e-4)
        expected = torch.stack([outputs[block] for block in (3, 7, 11, 15, 19)])
        torch.testing.assert_close(seen.hidden_states[:, number], expected, atol=1e-4, rtol=1e-4)
        for beside in (2, 4):
            assert (seen.hidden_states[0, number] - outputs[beside]).abs().max() > 0.05


def test_rotary_positions_matter_and_those_a_file_holds_are_not_read():
    weights = small_weights()
    noise = {"visual.rope.freqs_cos": torch.randn(9, 8), "visual.blocks.3.attn.rope.freqs_sin": torch.randn(9, 8)}
    tower = EvaTower.from_weights(weights, SMALL, "a file")
    expected = tower(pixels())
    assert torch.equal(EvaTower.from_weights(weights | noise, SMALL, "a file")(pixels()).pooled, expected.pooled)
    tower.cos, tower.sin = torch.ones_like(tower.cos), torch.zeros_like(tower.sin)
    assert (tower(pixels()).pooled - expected.pooled).abs().max() > 0.01


def test_rotations_of_the_official_tower_put_24_patches_between_the_16_it_was_trained_with():
    cos, sin = rotations(EvaConfig())
    assert cos.shape == sin.shape == (576, 64)
    assert torch.equal(cos[0], torch.ones(64))
    angle = torch.tensor(5 / 24 * 16)  # row 3, column 5: the first pair of the second half turns at full speed
    torch.testing.assert_close(cos[3 * 24 + 5, 32:34], angle.cos().repeat(2))
    torch.testing.assert_close(sin[3 * 24 + 5, :2], torch.tensor(3 / 24 * 16).sin().repeat(2))
    slowest = torch.tensor(3 / 24 * 16 / 10000 ** (30 / 32))
    torch.testing.assert_close(sin[3 * 24 + 5, 30:32], slowest.sin().repeat(2))


def test_weights_stored_in_half_give_the_bits_of_their_float32_copies():
    half = small_weights()
    whole = {name: tensor.float() for name, tensor in half.items()}
    one, other = (EvaTower.from_weights(each, SMALL, "a file") for each in (half, whole))
    assert one.head.weight.dtype == torch.float16
    assert torch.equal(one(pixels()).pooled, other(pixels()).pooled)
    assert torch.equal(one(pixels()).hidden_states, other(pixels()).hidden_states)


def test_a_config_in_eva_clips_layout_is_read_and_the_official_one_is_the_default(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(OFFICIAL_JSON))
    assert EvaConfig.read(path) == EvaConfig()
    assert (EvaConfig().grid, EvaConfig().positions) == (24, 577)


@pytest.mark.parametrize(
    "change", [{"rope": False}, {"naiveswiglu": False}, {"subln": None}, {"layers": None}, {"mlp_ratio": "wide"}]
)
def test_a_config_of_another_tower_is_refused_by_its_path(tmp_path, change):
    path = tmp_path / "config.json"
    vision = {name: one for name, one in (OFFICIAL_JSON["vision_cfg"] | change).items() if one is not None}
    path.write_text(json.dumps(OFFICIAL_JSON | {"vision_cfg": vision}))
    with pytest.raises(RunError, match=r"config\.json is not the config of an EVA02-CLIP") as caught:
        EvaConfig.read(path)
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("text", ["", "[]", '{"model_type": "clip"}', '{"vision_cfg": 3}'])
def test_files_that_are_no_such_config_are_refused_by_their_path(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunError, match=r"config\.json is not the config of an EVA02-CLIP .* in a folder of its own$"):
        EvaConfig.read(tmp_path / "config.json")


def test_a_file_is_loaded_with_the_config_beside_it(tmp_path):
    vision = OFFICIAL_JSON["vision_cfg"] | {
        "image_size": 6, "layers": 21, "width": 16, "head_width": 8, "mlp_ratio": 0.6667, "patch_size": 2,
        "pt_hw_seq_len": 2,
    }  # fmt: skip
    torch.save(small_weights() | {"logit_scale": torch.ones(())}, tmp_path / "eva.pt")
    with pytest.raises(RunError, match=r"eva\.pt is not the EVA02-CLIP"):
        EvaTower.load(tmp_path / "eva.pt")  # without one it is read as the official file
    (tmp_path / "config.json").write_text(json.dumps({"embed_dim": 7, "vision_cfg": vision}))
    tower = EvaTower.load(tmp_path / "eva.pt")
    assert tower.config == SMALL
    assert torch.equal(tower(pixels()).pooled, EvaTower.from_weights(small_weights(), SMALL, "")(pixels()).pooled)


def refused(weights, match, config=SMALL):
    with pytest.raises(RunError, match=match) as caught:
        EvaTower.from_weights(weights, config, "a file")
    assert caught.value.exit_code == Exit.USAGE
    assert "a file" in caught.value.message
    return caught.value.message


def test_every_missing_or_misshapen_tensor_is_refused_by_name():
    weights = small_weights()
    for name in (*list(weights)[:16], *list(weights)[-4:]):
        key = name.removeprefix("visual.")
        left = {one: tensor for one, tensor in weights.items() if one != name}
        refused(left, rf"1 tensors are missing \['{key}'\]")
        refused(weights | {name: torch.zeros(3, 3)}, rf"{key} is \(3, 3\), not \(")


def test_files_that_are_something_else_are_refused_with_what_is_wanted():
    weights = small_weights()
    refused(weights | {"visual.blocks.0.gamma_1": torch.ones(16)}, r"1 unknown \['blocks.0.gamma_1'\]")
    for other in ({}, {"vision_model.embeddings.class_embedding": torch.ones(3)}):
        assert "EVA02_CLIP_L_336_psz14_s6B.pt" in refused(other, "no visual")
    refused(
        weights | {"visual.pos_embed": torch.zeros(1, 5, 16)}, r"visual.pos_embed is \(1, 5, 16\), not \(1, 10, 16\)"
    )
    refused(weights, "PuLID reads block 19, but the tower has only 12 blocks", EvaConfig(layers=12))


@pytest.mark.parametrize("shape", [(3, 6, 6), (1, 3, 8, 8), (1, 6, 6, 3)])
def test_pixels_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="6 px"):
        EvaTower.from_weights(small_weights(), SMALL, "a file")(torch.zeros(shape))
