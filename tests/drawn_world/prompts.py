"""What prompts say of a drawing, in English and Chinese, and texts that say nothing of it. No torch here.

One fact has several wordings, clothes several names, and words that change nothing stand between: what people type is
then seldom far from what was trained. Negative prompts are of such words too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from idgen.tiny.people import EXPRESSIONS, SCENES, SHIRTS, Look

PORTRAIT = "portrait"
"""The word for large faces in the middle: without it the SDXL base also makes them small and anywhere."""

_SCENES_EN = {
    "studio": ("studio background", "in a studio", "plain studio background"),
    "beach": ("beach background", "on a beach", "on the beach, sea"),
    "forest": ("forest background", "in a forest", "in the forest, trees"),
    "city": ("city background", "on a city street", "in the city, buildings"),
    "night": ("night background", "at night", "night sky, moon and stars"),
    "sunset": ("sunset background", "at sunset", "sunset sky"),
    "mountains": ("mountains background", "in the mountains", "snowy mountains behind"),
    "meadow": ("meadow background", "on a meadow", "green meadow with flowers"),
}
_SCENES_ZH = {
    "studio": ("影棚背景", "在影棚里", "纯色背景"), "beach": ("海滩背景", "在海滩上", "海边"),
    "forest": ("森林背景", "在森林里", "树林中"), "city": ("城市背景", "在城市街头", "城市街道"),
    "night": ("夜晚背景", "在夜晚", "夜空和星星"), "sunset": ("日落背景", "在日落时", "夕阳"),
    "mountains": ("高山背景", "在高山前", "雪山背景"), "meadow": ("草地背景", "在草地上", "草原和鲜花"),
}  # fmt: skip
_CLOTHES_EN = ("shirt", "shirt", "shirt", "sweater", "coat", "jacket", "dress")
_CLOTHES_ZH = ("衬衫", "衬衫", "衬衫", "毛衣", "大衣", "外套", "连衣裙")
_SHIRTS_ZH = {
    "red": "红色", "blue": "蓝色", "green": "绿色", "yellow": "黄色",
    "white": "白色", "black": "黑色", "purple": "紫色", "orange": "橙色",
}  # fmt: skip
_EXPRESSIONS_EN = {
    "serious": ("serious", "with a serious face"), "smiling": ("smiling", "with a smile"),
    "laughing": ("laughing",), "surprised": ("surprised",),
}  # fmt: skip
_EXPRESSIONS_ZH = {
    "serious": ("严肃", "表情严肃"), "smiling": ("微笑", "面带笑容"), "laughing": ("大笑",), "surprised": ("惊讶",),
}  # fmt: skip
_IDLE_EN = (
    "soft light", "high quality", "detailed", "catalogue photo", "natural light", "sharp", "best quality", "4k",
    "professional photo", "cinematic",
)  # fmt: skip
_IDLE_ZH = ("光线柔和", "高质量", "细节精致", "自然光线", "高清", "电商摄影")
_BAD_EN = (
    "lowres", "blurry", "deformed", "bad anatomy", "worst quality", "low quality", "monochrome", "flaws in the eyes",
    "flaws in the face", "flaws", "text", "watermark", "ugly", "cross-eyed", "disfigured", "glitch", "noise",
)  # fmt: skip
_BAD_ZH = ("低质量", "低分辨率", "模糊", "糟糕", "畸形", "残缺")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a picture shows that prompts speak of."""

    scene: str
    shirt: str
    expression: str
    portrait: bool = True
    """A large face in the middle."""

    def numbers(self) -> tuple[int, int, int]:
        """Return places in SCENES, SHIRTS and EXPRESSIONS."""
        return SCENES.index(self.scene), tuple(SHIRTS).index(self.shirt), EXPRESSIONS.index(self.expression)

    @classmethod
    def of(cls, numbers: Sequence[int], portrait: bool = True) -> "Facts":
        """Return the facts of such numbers."""
        scene, shirt, expression = (int(number) for number in numbers)
        return cls(SCENES[scene], tuple(SHIRTS)[shirt], EXPRESSIONS[expression], portrait)

    @classmethod
    def of_look(cls, look: Look, portrait: bool = True) -> "Facts":
        """Return what a look shows."""
        return cls(look.scene, look.shirt, look.expression, portrait)


def english(facts: Facts, rng: np.random.Generator, whole: bool = False) -> str:
    """Return an English prompt; now and then one fact is left out, unless it is to be `whole`."""
    shirt, clothes = facts.shirt, _any(_CLOTHES_EN, rng)
    article = "an" if shirt[0] in "aeiou" else "a"
    scene, expression = _any(_SCENES_EN[facts.scene], rng), _any(_EXPRESSIONS_EN[facts.expression], rng)
    subject = _any(("a person", "a person", "photo of a person", "a woman", "a man"), rng)
    if facts.portrait and (whole or rng.random() < 0.7):
        subject = f"{PORTRAIT} of {subject.removeprefix('photo of ')}"
    wearing = f"{_any(('in', 'wearing'), rng)} {article} {shirt} {clothes}"
    return _joined(subject, " ", wearing, [scene, expression], _IDLE_EN, ", ", rng, whole)


def without_clothes(facts: Facts, rng: np.random.Generator) -> str:
    """Return an English prompt that leaves the clothes to a picture; now and then another fact is left out too."""
    scene, expression = _any(_SCENES_EN[facts.scene], rng), _any(_EXPRESSIONS_EN[facts.expression], rng)
    subject = f"{PORTRAIT} of a person" if facts.portrait and rng.random() < 0.7 else "a person"
    return _joined(subject, "", "", [scene, expression], _IDLE_EN, ", ", rng, False)


def chinese(facts: Facts, rng: np.random.Generator) -> str:
    """Return a Chinese prompt; now and then one fact is left out."""
    scene, expression = _any(_SCENES_ZH[facts.scene], rng), _any(_EXPRESSIONS_ZH[facts.expression], rng)
    wearing = f"{_any(('穿着', '身穿'), rng)}{_SHIRTS_ZH[facts.shirt]}{_any(_CLOTHES_ZH, rng)}"
    subject = _any(("一位", "一个", "照片，一位"), rng)
    if facts.portrait and rng.random() < 0.7:
        subject = f"肖像，{subject.removeprefix('照片，')}"
    return _joined(subject, "", f"{wearing}的人", [scene, expression], _IDLE_ZH, "，", rng, False)


def plain(facts: Facts, in_chinese: bool = False) -> str:
    """Return the wording that evaluations ask with: every fact, nothing else."""
    if in_chinese:
        subject = "肖像，一位" if facts.portrait else "一位"
        expression, scene = _EXPRESSIONS_ZH[facts.expression][0], _SCENES_ZH[facts.scene][0]
        return f"{subject}穿着{_SHIRTS_ZH[facts.shirt]}衬衫的人，{expression}，{scene}"
    article = "an" if facts.shirt[0] in "aeiou" else "a"
    person = f"{PORTRAIT} of a person" if facts.portrait else "a person"
    return f"{person} in {article} {facts.shirt} shirt, {facts.expression}, {facts.scene} background"


def neutral(rng: np.random.Generator, in_chinese: bool = False) -> str:
    """Return a text that says nothing of the picture: half of the time none, else like a negative prompt."""
    if rng.random() < 0.5:
        return ""
    words = [*(_BAD_ZH if in_chinese else _BAD_EN)]
    chosen = rng.permutation(len(words))[: int(rng.integers(1, len(words) + 1))]
    return ("，" if in_chinese else ", ").join(words[at] for at in chosen)


def _joined(
    subject: str, space: str, wearing: str, more: list[str], idle: Sequence[str], comma: str,
    rng: np.random.Generator, whole: bool,
) -> str:  # fmt: skip
    """Put the parts together: the scene and the expression in any order, an idle word in three of ten."""
    if rng.random() < 0.5:
        more.reverse()
    if rng.random() < 0.1 and not whole:
        more.pop()
    if rng.random() < 0.3:
        more.insert(int(rng.integers(len(more) + 1)), _any(idle, rng))
    return comma.join([f"{subject}{space}{wearing}", *more])


def _any(words: Sequence[str], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]
