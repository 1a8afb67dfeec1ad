"""What a picture was made of, in a real Chromium: side by side with the result, each part with its words."""

import colorsys
import json

import pytest
from make_run import POINTS, RUN, Portraits, product_row, put_pictures, row, write_run
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from idgen.config import ReportConfig
from idgen.faces.keypoints import COLORS
from idgen.report.gallery import write_report

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=document.title='owned'>"
CUT_OUT = {"init_image_uri": "s3://shop/cut-out.png", "control_inpaint_scale": 0.5, "paste_back": False}
KEPT = CUT_OUT | {"mask_image_uri": "s3://shop/kept.png", "mask_mode": "keep_white"}
ROWS = [
    product_row(0),
    row(
        1, reference_uris=[f"s3://people/{n}.jpg" for n in range(3)], settings=json.dumps({"init_image_uri": "s3://x"})
    ),
    row(2, status="rejected", code="bad_value", image_path="", prompt="", settings="", reference_uris=[], warnings=[])
    | {"sku": "", "key": ""},
    product_row(3, settings=json.dumps(CUT_OUT), person_id=HOSTILE, face_pass_result=HOSTILE, reference_uris=[HOSTILE]),
    product_row(4, settings=json.dumps(KEPT), face_pass_result="large_enough", face_similarity_before=None),
    product_row(5, status="failed", code="face_too_small", image_path="", target_keypoints=None),
    row(6, prompt="", sku="", face_pass_result="no_face"),
    product_row(
        7,
        width=128,
        height=128,
        face_pass_result="failed",
        target_keypoints=[60.0, 28, 71, 28, 65.5, 34, 61, 40, 70, 40],
    ),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalogue")
    store = write_run(folder, ROWS)
    put_pictures(store, ROWS)
    portraits = Portraits(missing=frozenset(["s3://shop/edges-0.png"]))
    return f"file://{folder / write_report(store, RUN, ReportConfig(), references=portraits)}"


@pytest.fixture
def gallery(driver, page):
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get(page)
    until(driver, lambda: len(cards(driver)) == len(ROWS))
    return driver


def until(driver, condition):
    return WebDriverWait(driver, 10, poll_frequency=0.05).until(lambda _: condition())


def cards(driver):
    return driver.find_elements(By.CSS_SELECTOR, ".card")


def open_row(driver, number):
    driver.execute_script("document.querySelectorAll('.card .frame')[arguments[0]].click()", number)
    until(driver, lambda: driver.find_element(By.ID, "viewer").is_displayed())


def captions(driver):
    return [found.get_attribute("textContent") for found in driver.find_elements(By.CSS_SELECTOR, "figcaption .words")]


def test_a_card_without_sku_names_its_row_and_one_whose_face_was_not_found_says_so(gallery):
    texts = [card.find_element(By.TAG_NAME, "footer").get_attribute("textContent") for card in cards(gallery)]
    assert ["row-0000" in text for text in texts] == [number in (2, 6) for number in range(len(ROWS))]
    assert ["face pass: no face" in text for text in texts] == [number == 6 for number in range(len(ROWS))]


def test_result_and_all_it_was_made_of_stand_side_by_side_with_words(gallery):
    open_row(gallery, 0)
    assert captions(gallery) == [
        "Reference photo", "Pose of the face from", "Where the face should be", "Product photo",
        "To be repainted (white)", "Soft edges",
    ]  # fmt: skip
    shown = "return [...document.querySelectorAll('#viewer img')].filter(i => i.complete && i.naturalWidth > 0).length"
    until(gallery, lambda: gallery.execute_script(shown) == 5)  # the result, and all inputs but the missing one
    figures = gallery.find_elements(By.CSS_SELECTOR, ".viewer-references figure")
    assert [len(figure.find_elements(By.CSS_SELECTOR, ".blank")) for figure in figures] == [0, 0, 0, 0, 0, 1]
    assert "s3://shop/mask-0.png" in figures[4].text
    result, parts = (gallery.find_element(By.CSS_SELECTOR, name).rect for name in (".stage", ".viewer-references"))
    assert result["x"] + result["width"] <= parts["x"]
    assert abs(result["y"] - parts["y"]) < 1
    assert gallery.get_log("browser") == []


@pytest.mark.parametrize("selector", ["#viewer canvas", ".card canvas"])
def test_the_five_points_are_drawn_where_they_are_in_the_colours_of_the_control_image(gallery, selector):
    if selector.startswith("#viewer"):
        open_row(gallery, 0)
    pixels = """const canvas = document.querySelector(arguments[0]);
    const scale = canvas.width / arguments[2];
    const at = (x, y) => [...canvas.getContext('2d').getImageData(x * scale, y * scale, 1, 1).data];
    return Array.from({length: 5}, (_, n) => at(arguments[1][2 * n], arguments[1][2 * n + 1])).concat([at(5, 5)]);"""
    found = gallery.execute_script(pixels, selector, POINTS, ROWS[0]["width"])
    assert found == [[*color, 255] for color in [*COLORS, (0, 0, 0)]]


def test_points_of_a_small_face_do_not_hide_each_other(gallery):
    points = ROWS[7]["target_keypoints"]
    script = """const canvas = document.querySelectorAll('.card')[7].querySelector('canvas');
    const scale = canvas.width / 128;
    return arguments[0].map(([x, y]) => [...canvas.getContext('2d').getImageData(x * scale, y * scale, 1, 1).data]);"""
    pairs = [points[at : at + 2] for at in range(0, 10, 2)]
    assert gallery.execute_script(script, pairs) == [[*color, 255] for color in COLORS]


def test_the_points_can_be_seen_on_the_card(gallery):
    canvas = gallery.find_element(By.CSS_SELECTOR, ".card canvas")
    count = """const [canvas, side] = [arguments[0], 44];
    const small = new OffscreenCanvas(side * canvas.width / canvas.height, side).getContext('2d');
    small.drawImage(canvas, 0, 0, small.canvas.width, small.canvas.height);
    return [...small.getImageData(0, 0, small.canvas.width, small.canvas.height).data];"""
    data = gallery.execute_script(count, canvas)
    colors = [colorsys.rgb_to_hsv(*(v / 255 for v in data[at : at + 3])) for at in range(0, len(data), 4)]
    bright = {round(hue * 6) % 6 for hue, saturation, value in colors if saturation > 0.8 and value > 0.6}
    assert bright == {0, 1, 2, 4, 5}  # red, yellow, green, blue, magenta


def test_small_on_the_card_with_words_on_hover(gallery):
    parts = cards(gallery)[0].find_elements(By.CSS_SELECTOR, ".part")
    assert [part.get_attribute("title") for part in parts] == [
        "pose of the face from", "where the face should be", "product photo", "to be repainted (white)",
    ]  # fmt: skip
    assert len(cards(gallery)[0].find_elements(By.CSS_SELECTOR, ".reference")) == 1
    assert len(cards(gallery)[1].find_elements(By.CSS_SELECTOR, ".reference")) == 2
    assert cards(gallery)[1].find_element(By.CSS_SELECTOR, ".part").get_attribute("title") == "made from"


def test_several_photos_are_numbered(gallery):
    open_row(gallery, 1)
    assert captions(gallery) == [*(f"Reference photo {n} of 3" for n in (1, 2, 3)), "Made from"]


def test_what_the_plan_refused_says_why_and_not_that_it_has_no_prompt(gallery):
    text = cards(gallery)[2].text
    assert "A value in this row cannot be used" in text
    assert "no prompt" not in text
    assert "no prompt" in cards(gallery)[6].text
    open_row(gallery, 2)
    facts = gallery.find_element(By.CSS_SELECTOR, ".viewer-facts").text
    assert "A value in this row cannot be used" in facts
    assert "Prompt" not in facts


def test_a_composite_is_marked_as_one(gallery):
    marked = [bool(card.find_elements(By.CSS_SELECTOR, ".composite")) for card in cards(gallery)]
    assert marked == [True, False, False, False, False, False, False, True]
    open_row(gallery, 0)
    assert "product photo's own pixels" in gallery.find_element(By.CSS_SELECTOR, ".viewer-facts").text


def test_what_the_face_pass_did_is_told_with_both_likenesses(gallery):
    assert "likeness 0.41 → 0.78" in cards(gallery)[0].text
    open_row(gallery, 0)
    facts = gallery.find_element(By.CSS_SELECTOR, ".viewer-facts").text
    assert "0.41 → 0.78 (1 = the same face)" in facts
    assert "the face was sampled again" in facts
    gallery.get(gallery.current_url.partition("#")[0])
    until(gallery, lambda: cards(gallery))
    open_row(gallery, 4)
    facts = gallery.find_element(By.CSS_SELECTOR, ".viewer-facts").text
    assert "0.78 (1 = the same face)" in facts
    assert "→" not in facts
    assert "the face was large enough" in facts
    gallery.get(gallery.current_url.partition("#")[0])
    until(gallery, lambda: cards(gallery))
    open_row(gallery, 7)
    assert "it failed; the face is as it was" in gallery.find_element(By.CSS_SELECTOR, ".viewer-facts").text


@pytest.mark.parametrize(
    ("number", "words"),
    [(3, ["Product cut-out"]), (4, ["Product photo", "To be kept (white)"])],
)
def test_words_say_what_a_mask_means(gallery, number, words):
    open_row(gallery, number)
    assert captions(gallery) == ["Reference photo", "Where the face should be", *words]


def test_without_a_result_all_parts_are_shown_and_reachable(gallery):
    gallery.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1200, "height": 480, "deviceScaleFactor": 1, "mobile": False}
    )
    open_row(gallery, 5)
    assert captions(gallery) == [
        "Reference photo", "Pose of the face from", "Product photo", "To be repainted (white)", "Soft edges",
    ]  # fmt: skip
    script = """const box = document.querySelector('.viewer-references');
    return box.querySelector('figure').getBoundingClientRect().top - box.getBoundingClientRect().top;"""
    assert gallery.execute_script(script) >= 0
    gallery.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert cards(gallery)[5].find_element(By.CSS_SELECTOR, ".caption").text == "Reference photo"


def test_hostile_text_in_what_it_was_made_of_is_shown_as_text(gallery):
    open_row(gallery, 3)
    assert HOSTILE in gallery.find_element(By.CSS_SELECTOR, ".viewer-facts").get_attribute("textContent")
    assert HOSTILE in gallery.find_element(By.CSS_SELECTOR, "figcaption").get_attribute("textContent")
    assert gallery.execute_script("return document.querySelectorAll('img[onerror]').length") == 0
    assert gallery.title == f"{RUN}: pictures"


@pytest.mark.parametrize("width", [360, 768])
def test_on_small_screens_nothing_sticks_out(gallery, width):
    gallery.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        until(gallery, lambda: gallery.execute_script("return document.documentElement.clientWidth") <= width)
        edges = "return [...document.querySelectorAll('.card .tick, .card .part')].map(e => [e, e.closest('.card')]"
        edges += ".map(x => x.getBoundingClientRect().right)).filter(([a, b]) => a > b).length"
        assert gallery.execute_script(edges) == 0
        open_row(gallery, 0)
        body = "const b = document.getElementById('viewer-body'); return b.scrollWidth <= b.clientWidth"
        assert gallery.execute_script(body)
    finally:
        gallery.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
