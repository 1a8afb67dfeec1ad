"""A small CLIP tokenizer in the official files (vocab.json, merges.txt): byte pairs learnt from a list of words.

Any text can be written in it; the listed words take few tokens, so that a prompt of some lines fits into CLIP's 77.
"""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

WORDS = """
a an the of in on at with and by for to from near under over before behind while wearing holding looking photo
photograph portrait picture painting drawing sketch studio light lighting soft warm cold golden hour sunset sunrise
morning night evening rain snow fog mist sun sunny cloudy sky street city garden park forest beach sea lake mountain
desert field meadow river bridge market cafe kitchen library museum office home house window door room bed sofa
chair table wall floor stairs train car bicycle boat plane person woman man girl boy child model face eyes hair
smile smiling laughing serious thoughtful young old red green blue yellow orange purple pink white black grey brown
gold silver dress shirt jacket coat suit hat scarf glasses shoes boots jeans skirt sweater linen wool silk cotton
leather denim summer winter spring autumn fashion catalogue product beauty sport outdoor indoor close up full body
half length front side view background plain blurred bokeh shallow depth film grain cinematic natural elegant modern
classic vintage oil watercolor style detailed high quality best monochrome lowres bad anatomy worst low blurry
quality standing sitting walking running reading flowers tree trees leaves grass water stone wood glass metal marble
brick neon lights shadow shadows bright dark colourful color colour
"""
MERGES = 600
END = "</w>"


def write(folder: Path, pad: str = "<|endoftext|>") -> None:
    """Write the tokenizer's files into `folder`; short texts are filled up with `pad`."""
    merges = learn(WORDS.split(), MERGES)
    pieces = _byte_characters()
    vocabulary = [*pieces, *(piece + END for piece in pieces), *("".join(pair) for pair in merges)]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": pad,
        "unk_token": "<|endoftext|>",
        "do_lower_case": True,
        "errors": "replace",
        "add_prefix_space": False,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))


def learn(words: list[str], most: int) -> list[tuple[str, str]]:
    """Return up to `most` byte-pair merges: the commonest pair first, equal ones in alphabetical order."""
    spelled = [[*word[:-1], word[-1] + END] for word in sorted(set(words))]
    merges: list[tuple[str, str]] = []
    while len(merges) < most:
        pairs = Counter(pair for word in spelled for pair in pairwise(word))
        if not pairs:
            break
        pair = min(pairs, key=lambda one: (-pairs[one], one))
        merges.append(pair)
        spelled = [_merge(word, pair) for word in spelled]
    return merges


def _merge(word: list[str], pair: tuple[str, str]) -> list[str]:
    """Join every occurrence of `pair` in a spelled word."""
    merged: list[str] = []
    for piece in word:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


def _byte_characters() -> list[str]:
    """Return the 256 characters that stand for bytes in CLIP's and GPT-2's vocabularies, in their order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]
