"""What the plan warns of: once per kind, with a count and a row, and of ordinary text not at all."""

import shutil
from dataclasses import replace

import pytest
from planning import HASHES, RECIPE, Desk, row

from idgen.manifest.prompt_kinds import KINDS
from idgen.recipes.recipe import Base, Defaults
from idgen.weights.locations import locate
from idgen.weights.token_counts import cut_counter

LARGE = Defaults(width=1024, height=1024)
FAMILIES = {
    kind: replace(RECIPE, name=kind, base=Base(kind=kind, weights=f"tiny:{kind}"), defaults=LARGE)
    for kind in ("sd15", "sdxl", "kolors")
}
SYNTAXES = {
    "(red:1.3) shirt": "(word:1.3)",
    "a (red shirt : .8)": "(word:1.3)",
    "((red)) shirt": "((word))",
    "[[red]] shirt": "((word))",
    "red++ shirt": "word++",
    "(red shirt)--": "word++",
    "hot:: dog": "word::2",
    "red::-.5": "word::2",
    "[red|blue] shirt": "[a|b]",
    "[red:blue:0.5] shirt": "[a:b:0.5]",
    "[red::0.5] shirt": "[a:b:0.5]",
    "a {red|blue} shirt": "{a|b}",
    "red shirt <lora:shop:0.8>": "<lora:name:0.8>",
    "a shirt BREAK a hat": "BREAK",
    "a __colour__ shirt": "__name__",
    "embedding:shop-style, a shirt": "embedding:name",
    "a shirt --ar 16:9": "--ar 16:9",
    "a shirt<|endoftext|>blue": "<|endoftext|>",
}
ORDINARY = [
    "a red shirt (linen), [studio], 16:9, at 10:30", "(ratio 16:9), (10:30)", "break of dawn, breaking waves",
    "a re-used shirt -- worn", "café, naïve, Ærø, 10 μm, l’été", "👩‍🦰 smiling ☕", "snake_case and __init", "a {b}",
    "embeddings: none", "2 < 3 | 4", "C+ grade, 100% cotton; 50/50", "(soft light), ((", "Marks & Spencer: the shirt",
]  # fmt: skip


@pytest.fixture
def families(desk: Desk) -> Desk:
    desk.recipes = FAMILIES
    desk.hashes = dict.fromkeys(FAMILIES, HASHES["faceid"])
    return desk


def told(summary):
    return [(warning.code, warning.text, warning.pictures, warning.row_id) for warning in summary.warnings]


@pytest.mark.parametrize("column", ["prompt", "negative_prompt"])
def test_each_syntax_is_warned_of_once_in_every_family(families: Desk, column):
    rows = [
        row(number, row_id=f"{kind}-{number}", recipe=kind, seed=number, **{column: prompt})
        for kind in FAMILIES
        for number, prompt in enumerate([*SYNTAXES, *ORDINARY])
    ]
    found = told(families.plan(rows))
    assert {code for code, *_ in found} == {"prompt_syntax"}
    assert len(found) == len(set(SYNTAXES.values()))
    for _, text, pictures, row_id in found:
        of_kind = [number for number, name in enumerate(SYNTAXES.values()) if text.startswith(name)]
        assert (pictures, row_id) == (3 * len(of_kind), f"sd15-{of_kind[0]}")


@pytest.mark.parametrize("prompt", ["红色衬衫", "a 猫", "рубашка", "قميص", "chemise ひ", "셔츠", "πουκάμισο"])
def test_another_script_is_warned_of_where_clip_reads(families: Desk, prompt):
    rows = [row(number, recipe=kind, prompt=prompt) for number, kind in enumerate(FAMILIES)]
    ((code, _, pictures, row_id),) = told(families.plan(rows))
    assert (code, pictures, row_id) == ("prompt_script", 2, "row-0")


def test_only_pictures_to_make_and_the_manifest_s_own_words_count(families: Desk):
    own = replace(
        FAMILIES["sd15"], defaults=Defaults(prompt="(a:1.2)", negative_prompt="(b:1.2)"), prompt_required=False
    )
    families.recipes = {"sd15": own}
    rows = [row(0, recipe="sd15", prompt=None, num_images=2), row(1, recipe="sd15", prompt="(c:1.2)", num_images=2)]
    assert [found[2:] for found in told(families.plan(rows))] == [(2, "row-1")]
    families.make()
    assert told(families.plan(rows)) == []


def test_a_negative_prompt_without_guidance_is_not_read(families: Desk):
    rows = [row(0, recipe="sd15", negative_prompt="(b:1.2)", guidance_scale=1.0)]
    assert told(families.plan(rows)) == []


def test_a_long_prompt_is_warned_of_by_the_family_s_own_tokens(families: Desk):
    families.more["counter_of"] = cut_counter
    long, longer, words = "neon " * 76, "neon " * 80, "neon " * 75
    rows = [
        row(0, recipe="sd15", prompt=words), row(1, recipe="sd15", prompt=long), row(2, recipe="sdxl", prompt=longer),
        row(3, recipe="kolors", prompt=longer), row(4, recipe="sd15", negative_prompt=long),
    ]  # fmt: skip
    prompt, negative = told(families.plan(rows))
    assert prompt[0::2] == ("prompt_cut", 2)
    assert "by up to 5 tokens" in prompt[1]
    assert prompt[3] == "row-1"
    assert (negative[0], *negative[2:]) == ("negative_prompt_cut", 1, "row-4")
    (kolors,) = told(families.plan([row(5, recipe="kolors", prompt="shirt " * 600)]))
    assert kolors[0] == "prompt_cut"


def test_what_a_recipe_reads_is_not_warned_of(families: Desk):
    families.more["counter_of"] = cut_counter
    reads = {"prompt_syntax": "weighted", "long_prompt": "chunks"}
    families.recipes = {name: replace(FAMILIES[name], **reads) for name in ("sd15", "sdxl")}
    rows = [row(0, recipe="sd15", prompt="((red)) " * 80), row(1, recipe="sdxl", prompt="(red:1.3) [a|b]")]
    ((code, text, *where),) = told(families.plan(rows))
    assert (code, text.partition(" ")[0], *where) == ("prompt_syntax", "[a|b]", 1, "row-1")


def test_a_tokenizer_that_is_not_here_costs_only_the_warning(families: Desk):
    families.more["counter_of"] = lambda recipe: cut_counter(replace(recipe, base=Base(weights="/nowhere/at-all")))
    assert told(families.plan([row(0, recipe="sd15", prompt="neon " * 80)])) == []


def test_a_broken_tokenizer_costs_only_the_warning(families: Desk, tmp_path):
    folder = tmp_path / "base" / "tokenizer"
    shutil.copytree(locate("tiny:sd15") / "tokenizer", folder)
    (folder / "tokenizer.json").unlink(missing_ok=True)
    (folder / "merges.txt").write_text("#version: 0.2\nbroken\n")
    families.more["counter_of"] = lambda recipe: cut_counter(replace(recipe, base=Base(weights=str(tmp_path / "base"))))
    assert told(families.plan([row(0, recipe="sd15", prompt="neon " * 80)])) == []


def test_sizes_that_sdxl_was_not_trained_on_are_told_with_the_nearest(families: Desk):
    families.recipes |= {"turbo": replace(FAMILIES["sdxl"], name="turbo", defaults=Defaults(width=512, height=512))}
    families.hashes |= {"turbo": HASHES["other"]}
    sizes = [(1024, 1024), (1016, 1016), (512, 512), (512, 512), (832, 1216), (1280, 720), (2048, 2048), (640, 640)]
    rows = [
        row(number, row_id=f"{kind}-{number}", recipe=kind, width=width, height=height)
        for kind in ("sd15", "turbo", "sdxl", "kolors")
        for number, (width, height) in enumerate(sizes)
    ]
    ((code, text, pictures, row_id),) = told(families.plan(rows))
    assert (code, pictures, row_id) == ("size_untrained", 10, "sdxl-2")
    assert "512x512 (the nearest is 1024x1024), 640x640 (" in text
    assert "1280x720 (the nearest is 1344x768) and 1 more" in text


def test_every_kind_of_syntax_is_in_this_file():
    starts = set(SYNTAXES.values())
    assert all(any(kind.text.startswith(start) for start in starts) for kind in KINDS if kind.code == "prompt_syntax")
