"""Weights of InstantID, PuLID and EcomID: parts, identity by content, layouts, and a file from a web address."""

import http.server
import shutil
import threading
from dataclasses import replace
from functools import partial

import pytest
from doubles.tiny_recipe import ecomxl, recipe
from safetensors.torch import save_file

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.networks import checkpoints
from idgen.weights import fetching, locations
from idgen.weights.layouts import check_layout
from idgen.weights.locations import fetched_file, locate

ECOMID = recipe("ecomid")
ROLES = {
    "base", "adapter:identity", "image_encoder:identity", "face_parser:identity", "context:identity",
    "control:identity", "control_config:identity", "face_pack",
}  # fmt: skip


def verdicts(made):
    return {part.role: check_layout(part, made) for part in weights.parts(made)}


def spec(made, **changes):
    return replace(made, adapters=[replace(made.adapters[0], **changes)])


def net(made, **changes):
    return replace(made, controls=[replace(made.controls[0], **changes), *made.controls[1:]])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("instantid", {"adapter": "instantid, 191 tensors", "control": "ControlNetModel"}),
        ("pulid_v1", {"adapter": "PuLID v1, 250 tensors", "face_parser": "face parser, 191 tensors"}),
        ("pulid_v1_1", {"adapter": "PuLID v1.1, 312 tensors", "image_encoder": "EVA02-CLIP, "}),
        (
            "ecomid",
            {"context": "instantid, 51 tensors", "control": "ControlNet, ", "control_config": "ControlNetModel"},
        ),
    ],
)
def test_every_part_is_what_its_recipe_says(name, says):
    found = verdicts(recipe(name))
    assert {kind: words for kind, words in says.items() if not found[f"{kind}:identity"].startswith(words)} == {}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (spec(ECOMID, kind="pulid_v1_1"), r"is not PuLID v1\.1: it is PuLID v1$"),
        (spec(ECOMID, weights="tiny:instantid"), "is not PuLID v1: it is something else"),
        (spec(recipe("instantid"), weights="tiny:pulid_v1_sdxl"), "is not instantid: its projection is pulid"),
        (spec(ECOMID, image_encoder="tiny:clip_vit_h"), "is a folder: the EVA02-CLIP"),
        (spec(ECOMID, image_encoder="tiny:pulid_v1"), "is not an EVA02-CLIP"),
        (spec(ECOMID, face_parser="tiny:pulid_v1"), "is not a face parser"),
        (spec(ECOMID, context_weights="tiny:ip_adapter_plus_sdxl_vit_h"), "is not InstantID"),
        (net(ECOMID, weights="tiny:pulid_v1_sdxl"), "is not a ControlNet"),
        (net(ECOMID, config="tiny:clip_vit_h"), "is not a ControlNet: its config says"),
        (net(ECOMID, config=""), r"has no config\.json: also give, as `config`"),
        (
            replace(ECOMID, controls=[*ECOMID.controls, replace(ecomxl("inpaint"), weights="tiny:ecomid_net")]),
            r"has no config\.json: give the net's folder in diffusers layout",
        ),
        (replace(ECOMID, base=replace(ECOMID.base, weights="tiny:sd15")), "a base of kind sd15, but the recipe's"),
        (
            replace(recipe("instantid"), base=replace(ECOMID.base, weights="tiny:sd15")),
            "a base of kind sd15, but the recipe's",
        ),
    ],
)
def test_a_part_that_is_something_else_is_refused_with_what_it_is(wrong, message):
    with pytest.raises(RunError, match=message) as caught:
        verdicts(wrong)
    assert caught.value.exit_code == Exit.USAGE


def test_a_context_of_another_width_than_the_base_s_text_is_refused(tmp_path):
    tensors = checkpoints.read(locate("tiny:instantid"))
    narrow = {
        name: one[:-1].contiguous() if name.startswith(("image_proj.proj_out", "image_proj.norm_out")) else one
        for name, one in tensors.items()
    }
    save_file(narrow, tmp_path / "narrow.safetensors")
    with pytest.raises(RunError, match=r"narrow\.safetensors makes tokens 127 wide, .* this base read 128"):
        verdicts(spec(ECOMID, context_weights=str(tmp_path / "narrow.safetensors")))


@pytest.fixture
def moved(tmp_path):
    """EcomID with its files in a folder that may be changed."""
    one, control = ECOMID.adapters[0], ECOMID.controls[0]
    copied = {}
    for number, location in enumerate(
        (one.weights, one.image_encoder, one.face_parser, one.context_weights, control.weights, control.config)
    ):
        path, folder = locate(location), tmp_path / str(number)
        source = path if path.is_dir() else path.parent
        if path.is_dir() or (path.parent / "config.json").is_file():
            shutil.copytree(source, folder)
        else:
            folder.mkdir()
            shutil.copy(path, folder)
        copied[location] = str(folder if path.is_dir() else folder / path.name)
    made = spec(
        ECOMID,
        **{name: copied[getattr(one, name)] for name in ("weights", "image_encoder", "face_parser", "context_weights")},
    )
    return net(made, weights=copied[control.weights], config=copied[control.config])


@pytest.mark.parametrize(
    ("file", "role"),
    [
        ("0/ip-adapter_pulid_sdxl_fp16.safetensors", "adapter:identity"),
        ("1/EVA02_CLIP_L_336_psz14_s6B.pt", "image_encoder:identity"),
        ("1/config.json", "image_encoder:identity"),
        ("2/parsing_bisenet.pth", "face_parser:identity"),
        ("3/ip-adapter.bin", "context:identity"),
        ("4/diffusion_pytorch_model.safetensors", "control:identity"),
        ("5/config.json", "control_config:identity"),
        ("5/diffusion_pytorch_model.safetensors", None),
    ],
)
def test_each_file_counts_in_its_role_and_where_it_lies_does_not(moved, tmp_path, file, role):
    before = weights.identity(moved, cache=None)
    assert before == weights.identity(ECOMID, cache=weights.hash_cache())
    assert before.keys() == ROLES
    (tmp_path / file).write_text("changed")
    after = weights.identity(moved, cache=None)
    assert {name for name in before if before[name] != after[name]} == ({role} if role else set())


def test_a_net_may_be_named_as_one_file_and_a_further_net_is_a_folder(moved):
    folder = moved.controls[0].weights
    as_file = net(moved, weights=f"{folder}/diffusion_pytorch_model.safetensors")
    assert verdicts(as_file)["control:identity"] == verdicts(moved)["control:identity"]
    assert weights.identity(as_file, cache=None) == weights.identity(moved, cache=None), "one net, one key"
    with_inpaint = replace(ECOMID, controls=[*ECOMID.controls, ecomxl("inpaint")])
    assert weights.identity(with_inpaint, cache=weights.hash_cache()).keys() == {*ROLES, "control:inpaint"}
    assert verdicts(with_inpaint)["control:inpaint"] == "ControlNetModel"


def test_of_a_repository_that_a_nets_settings_are_in_nothing_else_is_fetched():
    part = next(part for part in weights.parts(ECOMID) if part.kind == "control_config")
    names = ["ControlNetModel/config.json", "ControlNetModel/diffusion_pytorch_model.safetensors", "config.json"]
    assert fetching.wanted_names(part, ECOMID, names, "ControlNetModel") == ["ControlNetModel/config.json"]


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Where a server offers tmp_path/served, and downloads go beside it."""
    (tmp_path / "served").mkdir()
    monkeypatch.setattr(locations, "DOWNLOADS", tmp_path / "downloads")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "served"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_what_an_address_gives_instead_of_weights_is_not_kept(served, tmp_path):
    file = tmp_path / "served" / "parsing.pth"
    file.write_text("<html>log in</html>")
    made = spec(ECOMID, face_parser=f"{served}/parsing.pth?token=secret")
    part = next(part for part in weights.parts(made) if part.kind == "face_parser")
    with pytest.raises(RunError, match=r"parsing\.pth is not a weights file, nothing of it was kept") as caught:
        fetching.fetch(part, made, lambda _: None)
    assert "secret" not in caught.value.message
    assert not fetching.is_here(part, made), "the next fetch gets it again"
    shutil.copy(locate("tiny:face_parser"), file)
    fetching.fetch(part, made, lambda _: None)
    assert fetching.is_here(part, made)


def test_a_file_on_no_hub_is_fetched_from_its_address_and_found_there(served, tmp_path):
    shutil.copy(locate("tiny:face_parser"), tmp_path / "served" / "parsing.pth")
    address = f"{served}/parsing.pth?token=secret"
    made = spec(ECOMID, face_parser=address)
    part = next(part for part in weights.parts(made) if part.kind == "face_parser")
    with pytest.raises(RunError, match=r"face_parser: .* nothing is downloaded .*weights\.py fetch") as caught:
        weights.files_of(part, made)
    assert "secret" not in caught.value.message
    said = []
    fetching.fetch(part, made, said.append)
    assert not any("secret" in line for line in said)
    assert locate(address) == fetched_file(address) == fetched_file(f"{served}/parsing.pth")
    assert fetched_file(address).name == "parsing.pth"
    assert fetched_file(address) != fetched_file(f"{served}/other/parsing.pth")
    assert check_layout(part, made).startswith("face parser")
    assert weights.identity(made, cache=None) == weights.identity(ECOMID, cache=weights.hash_cache())
