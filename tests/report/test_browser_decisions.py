"""A manager decides in the gallery: with a mouse, with keys alone, on a phone; the file has all of it."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from make_run import RUN, SUMMARY, Portraits, key_of, product_row, put_pictures, row, write_run
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from idgen.config import ReportConfig
from idgen.report.gallery import write_report

pytestmark = pytest.mark.browser

HELD = (5, 16, 27)
FORMULA = '=HYPERLINK("http://evil","x"), row\n2'


def likeness(number):
    return 0.2 + number % 29 / 50


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """60 rows: three held, one changed since yesterday, one accepted before, one row_id that is a formula."""
    rows = [row(n, sku=f"{n % 4}", face_similarity=likeness(n)) for n in range(60)]
    tries = [
        {"seed": 5, "verdict": "held", "face_similarity": 0.11},
        {"seed": 6, "verdict": "held", "face_similarity": 0.2},
    ]
    for n in HELD:
        rows[n] |= {"verdict": "held", "warnings": [f"face_similarity: held no. {n}"], "tries_made": json.dumps(tries)}
    rows[5]["row_id"] = FORMULA
    rows[16] |= {"previous_key": rows[1]["key"], "previous_image_path": rows[1]["image_path"]}
    rows[8] |= {"decision": "accepted", "decided_by": "mia"}
    rows[40] |= {"verdict": "held", "decision": "accepted"}  # a gate held it, and a person has decided
    rows[2] = product_row(2)
    folder = tmp_path_factory.mktemp("catalogue")
    store = write_run(folder, rows, SUMMARY)
    put_pictures(store, rows, width=512, height=768)
    return f"file://{folder / write_report(store, RUN, ReportConfig(), references=Portraits())}"


@pytest.fixture
def gallery(driver, page):
    driver.get("about:blank")
    driver.get(page)
    driver.execute_script("localStorage.clear()")
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get(page)
    until(driver, lambda: cards(driver))
    yield driver
    assert driver.get_log("browser") == []


def until(driver, condition, seconds=10):
    return WebDriverWait(driver, seconds, poll_frequency=0.05).until(lambda _: condition())


def cards(driver):
    return driver.find_elements(By.CSS_SELECTOR, ".card")


def shown(driver):
    return [int(one.get_attribute("data-row")) for one in cards(driver)]


def card(driver, number):
    return driver.find_element(By.CSS_SELECTOR, f'.card[data-row="{number}"]')


def press(driver, keys):
    driver.switch_to.active_element.send_keys(keys)


def text(driver, selector):
    return driver.find_element(By.CSS_SELECTOR, selector).text


def open_row(driver, number):
    card(driver, number).find_element(By.CSS_SELECTOR, ".frame").click()
    until(driver, driver.find_element(By.ID, "viewer").is_displayed)


def wish(driver, **parts):
    before = driver.find_element(By.ID, "grid").find_elements(By.CSS_SELECTOR, "*")[0].id
    driver.execute_script("location.hash = arguments[0]", "&".join(f"{name}={value}" for name, value in parts.items()))
    until(driver, lambda: driver.find_element(By.ID, "grid").find_elements(By.CSS_SELECTOR, "*")[0].id != before)


def test_held_pictures_come_first_and_say_why_on_their_cards(gallery):
    assert shown(gallery)[:4] == [5, 16, 27, 0]
    for n in HELD:
        assert f"face_similarity: held no. {n}" in card(gallery, n).text
        assert card(gallery, n).get_attribute("data-verdict") == "held"
    gallery.find_element(By.CSS_SELECTOR, ".tile[data-status=held]").click()
    until(gallery, lambda: shown(gallery) == list(HELD))


def test_pictures_are_ordered_by_worst_likeness_and_by_what_changed(gallery):
    wish(gallery, sort="face_similarity")
    worst = sorted((n for n in range(60) if n != 2), key=lambda n: (likeness(n), n))
    assert shown(gallery)[:10] == worst[:10]
    wish(gallery, sort="changed")
    assert shown(gallery)[0] == 16
    wish(gallery, show="changed")
    assert shown(gallery) == [16]


def test_the_heading_of_a_set_has_its_least_likeness_and_its_held(gallery):
    wish(gallery, group="sku", sort="face_similarity")
    heading = gallery.find_element(By.CSS_SELECTOR, ".group").text
    assert "15 pictures · least likeness 0.20" in heading
    wish(gallery, group="sku")
    headings = [one.text for one in gallery.find_elements(By.CSS_SELECTOR, ".group")]
    assert [re.search(r"\d held", words)[0] if "held" in words else "" for words in headings][:3] == ["1 held"] * 3


def test_the_keyboard_alone_decides_on_every_held_picture_and_saves_the_file(gallery, downloads):
    target = Path(downloads) / "decisions.csv"
    target.unlink(missing_ok=True)
    press(gallery, Keys.TAB)
    press(gallery, Keys.ENTER)  # skip to the pictures
    while gallery.switch_to.active_element.get_attribute("className") != "frame":
        press(gallery, Keys.TAB)
    press(gallery, Keys.ENTER)
    until(gallery, gallery.find_element(By.ID, "viewer").is_displayed)
    for keys in ("1", " ", "r", "3", " ", "a"):
        press(gallery, keys)
    assert text(gallery, "#viewer-place") == "3 of 60"
    press(gallery, Keys.ESCAPE)
    until(gallery, lambda: not gallery.find_element(By.ID, "viewer").is_displayed())
    focused = "return document.activeElement.closest('.card')?.dataset.row"
    until(gallery, lambda: gallery.execute_script(focused) == "27")
    assert text(gallery, "#decided-count") == "1 accepted, 2 rejected."
    press(gallery, "r")
    press(gallery, "a")  # on the card that has the focus, which keeps it
    while gallery.switch_to.active_element.get_attribute("id") != "save-decisions":
        press(gallery, Keys.TAB)
    press(gallery, Keys.ENTER)
    until(gallery, target.exists)
    raw = target.read_bytes().decode()
    assert raw.startswith("key,row_id,decision,reason,date\r\n")
    lines = list(csv.reader(io.StringIO(raw, newline="")))
    assert [line[:4] for line in lines[1:]] == [
        [key_of(5), f"'{FORMULA}", "rejected", "not the person"],
        [key_of(16), "row-00016", "rejected", "hands or body wrong"],
        [key_of(27), "row-00027", "accepted", ""],
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line[4]) for line in lines[1:])


def test_decisions_and_ticks_survive_a_reload_and_can_be_taken_back(gallery):
    card(gallery, 5).find_element(By.CSS_SELECTOR, ".press.rejected").click()
    gallery.execute_script(
        "const list = document.querySelector('.choice select'); list.value = 'other';"
        "list.dispatchEvent(new Event('change'))"
    )
    card(gallery, 16).find_element(By.CSS_SELECTOR, ".tick input").click()
    gallery.refresh()
    until(gallery, lambda: cards(gallery))
    assert card(gallery, 5).get_attribute("data-decision") == "rejected"
    assert card(gallery, 5).find_element(By.CSS_SELECTOR, ".choice select").get_property("value") == "other"
    assert card(gallery, 16).find_element(By.CSS_SELECTOR, ".tick input").is_selected()
    card(gallery, 5).find_element(By.CSS_SELECTOR, ".press.rejected").click()
    assert card(gallery, 5).get_attribute("data-decision") == ""
    assert not gallery.find_element(By.ID, "decided").is_displayed()


def test_what_the_catalogue_has_recorded_is_shown_and_not_exported_again(gallery):
    assert card(gallery, 8).get_attribute("data-decision") == "accepted"
    assert "accepted" in card(gallery, 8).find_element(By.CSS_SELECTOR, ".decision").text
    card(gallery, 8).find_element(By.CSS_SELECTOR, ".press.accepted").click()
    assert not gallery.find_element(By.ID, "chosen").is_displayed()
    open_row(gallery, 8)
    assert "accepted, by mia" in text(gallery, "#viewer-facts")


def test_a_browser_that_keeps_nothing_says_so_and_decides_all_the_same(driver, page):
    script = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"
    made = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        driver.get("about:blank")
        driver.get(page)
        until(driver, lambda: cards(driver))
        card(driver, 5).find_element(By.CSS_SELECTOR, ".press.accepted").click()
        assert card(driver, 5).get_attribute("data-decision") == "accepted"
        assert "keeps nothing" in text(driver, "#decided-hint")
        card(driver, 5).find_element(By.CSS_SELECTOR, ".press.accepted").click()
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


def test_two_pictures_are_compared_and_moved_together_at_full_size(gallery):
    open_row(gallery, 16)
    options = [one.text for one in gallery.find_elements(By.CSS_SELECTOR, "#viewer-compare option")]
    assert options[:3] == ["nothing", "Reference photo", "What stood here before"]
    assert any("faceid-sd15-fast" in words for words in options[3:])
    press(gallery, "c")
    press(gallery, "c")
    sources = "return [...document.querySelectorAll('.large')].map(i => i.getAttribute('src'))"
    assert gallery.execute_script(sources)[1].endswith(f"images/{key_of(1)[:2]}/{key_of(1)}.png")
    ready = "return [...document.querySelectorAll('.large')].every(i => i.complete && i.naturalWidth === 512)"
    until(gallery, lambda: gallery.execute_script(ready))
    press(gallery, "z")
    widths = (
        "return [...document.querySelectorAll('.large')].map(i => i.getBoundingClientRect().width * devicePixelRatio)"
    )
    assert gallery.execute_script(widths) == [512, 512]
    places = "return [...document.querySelectorAll('.pane-view')].map(v => [v.scrollLeft, v.scrollTop])"
    gallery.execute_script("document.querySelector('.pane-view').scrollTo(0, 0)")
    until(gallery, lambda: gallery.execute_script(places) == [[0, 0], [0, 0]])
    press(gallery, Keys.SHIFT + Keys.ARROW_RIGHT + Keys.NULL)
    until(gallery, lambda: (found := gallery.execute_script(places))[0] == found[1] != [0, 0])
    assert "2. " in text(gallery, ".tries") or "seed 6 · held · likeness 0.2" in text(gallery, ".tries")


@pytest.mark.parametrize(("width", "height", "most"), [(1400, 900, 0.35), (390, 844, 0.42)])
def test_pictures_are_on_the_first_screen_and_nothing_sticks_out(gallery, width, height, most):
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    gallery.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        until(gallery, lambda: gallery.execute_script("return document.documentElement.clientWidth") <= width)
        top = gallery.execute_script("return document.querySelector('.card').getBoundingClientRect().top")
        assert top < most * height
        assert gallery.execute_script("return document.documentElement.scrollWidth") <= width
        open_row(gallery, 5)
        press(gallery, "r")
        sticks = """return ['viewer', 'viewer-body', 'viewer-decision']
            .filter(id => document.getElementById(id).scrollWidth > innerWidth)"""
        assert gallery.execute_script(sticks) == []
        assert gallery.find_element(By.CSS_SELECTOR, ".press.wide.accepted").is_displayed()
    finally:
        gallery.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_everything_that_can_be_used_has_a_name(gallery):
    open_row(gallery, 16)
    nameless = """const named = e => e.getAttribute('aria-label') || e.alt || e.textContent.trim() || e.labels?.length
        || e.getAttribute('aria-labelledby');
    return [...document.querySelectorAll('button, select, input, summary, img, [role=group]')]
        .filter(e => !named(e)).map(e => e.outerHTML.slice(0, 120))"""
    assert gallery.execute_script(nameless) == []


def test_what_to_do_next_tells_the_loop(gallery):
    gallery.find_element(By.CSS_SELECTOR, "#next summary").click()
    commands = [one.text for one in gallery.find_elements(By.CSS_SELECTOR, "#next-loop code")]
    assert [words.split()[:2] for words in commands] == [["idgen", "review"], ["idgen", "rerun"], ["idgen", "generate"]]
    assert "3 held" in text(gallery, "#next-brief")
