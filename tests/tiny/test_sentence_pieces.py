"""The tiny sentencepiece model: equal bytes every time, short for what prompts say, able to write anything."""

import hashlib
import subprocess
import sys

import pytest
from diffusers.pipelines.kolors import ChatGLMTokenizer

from idgen.tiny import sentence_pieces, world

PREFIX = 2
"""[gMASK] and sop."""


@pytest.fixture(scope="module")
def tokenizer():
    return ChatGLMTokenizer.from_pretrained(world.locate("kolors") / "tokenizer")


@pytest.mark.slow
def test_another_process_learns_the_same_bytes():
    code = (
        "import hashlib; from idgen.tiny import sentence_pieces;"
        "print(hashlib.sha256(sentence_pieces.learn()).hexdigest())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True).stdout
    assert told.strip() == hashlib.sha256(sentence_pieces.learn()).hexdigest()


@pytest.mark.parametrize(
    ("prompt", "most"),
    [
        ("一位穿着红色外套的女人，城市街道，柔和的晨光", 14),
        ("在图书馆里微笑的老人，戴着眼镜", 11),
        ("招牌上写着“欢迎光临”", 8),
        ("a woman in a red coat, city street, soft morning light", 13),
        ("一位女人在 kitchen 里", 7),
    ],
)
def test_prompts_in_both_languages_take_a_token_per_word(tokenizer, prompt, most):
    ids = tokenizer(prompt).input_ids
    assert len(ids) - PREFIX <= most
    assert all(number >= 3 + 256 for number in ids)  # no byte among them


@pytest.mark.parametrize("text", ["猫 🐈", "zürich, 1-2-3", "穿着晚礼服，在星光下的晚宴场景中", "UPPER case"])
def test_any_text_comes_back_as_it_was(tokenizer, text):
    pieces = tokenizer.tokenizer.sp_model
    assert pieces.decode(pieces.encode(text)) == text
    assert pieces.unk_id() not in pieces.encode(text)
