"""The gallery in a real Chromium, opened from a folder like a shop's people open it."""

import logging
import time
from pathlib import Path

import pytest
from make_run import RUN, SUMMARY, Portraits, put_pictures, row, write_run
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from idgen.config import ReportConfig
from idgen.report.gallery import write_report

pytestmark = pytest.mark.browser

ROWS = 10_000
HOSTILE = "</script><img src=x onerror=document.title='owned'><script>document.title='owned'</script> & <b>bold</b>"

_log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """Address of a gallery of 10,000 rows, the first 300 with real pictures, one with a hostile prompt."""
    rows = [row(n) for n in range(ROWS)]
    rows[1] |= {"prompt": HOSTILE, "sku": "<i>0123</i>", "warnings": ["<b>w</b>"], "settings": '{"<u>": "<u>x</u>"}'}
    folder = tmp_path_factory.mktemp("catalogue")
    store = write_run(folder, rows, SUMMARY)
    put_pictures(store, rows[:300])
    return f"file://{folder / write_report(store, RUN, ReportConfig(), references=Portraits())}"


@pytest.fixture
def gallery(driver, page):
    """The page, freshly loaded, with everything shown."""
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get(page)
    until(driver, lambda: cards(driver))
    return driver


def until(driver, condition, seconds=10):
    return WebDriverWait(driver, seconds, poll_frequency=0.05).until(lambda _: condition())


def cards(driver):
    return driver.find_elements(By.CSS_SELECTOR, ".card")


def found(driver):
    return driver.find_element(By.ID, "found").text


def look_for(driver, words):
    box = driver.find_element(By.ID, "search")
    before = found(driver)
    # in one step: between two keys a busy browser may look for the half word
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    driver.execute_script(script, box, words)
    until(driver, lambda: found(driver) != before)


def loaded(driver, selector):
    script = "return [...document.querySelectorAll(arguments[0])].filter(i => i.complete && i.naturalWidth > 0).length"
    return driver.execute_script(script, selector)


def test_ten_thousand_rows_are_there_within_five_seconds_and_few_cards_are_in_the_page(driver, page):
    for _ in range(3):  # other tests run beside this one: the page's own time is the shortest
        driver.get("about:blank")
        start_s = time.monotonic()
        driver.get(page)
        until(driver, lambda: cards(driver))
        first_s = time.monotonic() - start_s
        look_for(driver, "model-07 quilted")
        usable_s = time.monotonic() - start_s
        if usable_s < 5:
            break
    nodes = driver.execute_script("return document.querySelectorAll('*').length")
    _log.info("10,000 rows: first cards %.2f s, searched %.2f s, %d elements", first_s, usable_s, nodes)
    assert usable_s < 5
    assert 0 < len(cards(driver)) <= 48
    # the datalists hold up to 2,000 names each; here 40 SKUs and 13 people
    assert nodes < 2_000


def test_the_account_is_on_the_page(gallery):
    assert f"asked {ROWS:,} = ok" in gallery.find_element(By.CSS_SELECTOR, ".account").text
    assert found(gallery) == f"1–48 of {ROWS:,}."


def test_pictures_and_references_load_from_files_of_their_own(gallery):
    until(gallery, lambda: loaded(gallery, ".card .result") >= 6 and loaded(gallery, ".card .reference") >= 4)
    sources = gallery.execute_script("return [...document.images].map(i => i.getAttribute('src'))")
    assert sources
    assert all(source.startswith(("../../../thumbs/", "refs/")) for source in sources)
    assert gallery.execute_script("return [...document.images].every(i => i.alt.length > 5)")


def test_the_browser_has_nothing_to_complain_about(gallery):
    until(gallery, lambda: loaded(gallery, ".card .result") >= 6)
    assert gallery.get_log("browser") == []


def test_failed_pictures_can_be_shown_alone_with_reason_and_remedy(gallery):
    gallery.find_element(By.CSS_SELECTOR, ".tile[data-status=failed]").click()
    until(gallery, lambda: f"of {ROWS:,}." not in found(gallery))
    assert {card.get_attribute("data-status") for card in cards(gallery)} == {"failed"}
    text = cards(gallery)[0].text
    assert "Nothing is stored at that address" in text
    assert "put the photo there" in text
    gallery.find_element(By.ID, "clear").click()
    until(gallery, lambda: f"of {ROWS:,}." in found(gallery))


def test_what_to_do_next_leads_to_the_pictures_of_one_reason(gallery):
    gallery.find_element(By.CSS_SELECTOR, "#next summary").click()
    gallery.find_element(By.CSS_SELECTOR, "#next-list li button").click()
    until(gallery, lambda: f"of {ROWS:,}." not in found(gallery))
    assert {card.find_element(By.CSS_SELECTOR, ".reason b").text for card in cards(gallery)} == {"No face was found"}


def test_search_finds_words_of_the_prompt_and_a_key(gallery):
    look_for(gallery, "Lisbon MODEL-07 quilted")
    prompts = [card.find_element(By.CSS_SELECTOR, ".prompt").get_attribute("textContent") for card in cards(gallery)]
    assert prompts
    assert all("model-07" in words and "quilted" in words and "Lisbon" in words for words in prompts)
    gallery.find_element(By.ID, "search").clear()
    gallery.execute_script("document.getElementById('search').dispatchEvent(new Event('input'))")
    until(gallery, lambda: f"of {ROWS:,}." in found(gallery))
    look_for(gallery, row(77)["key"])
    assert found(gallery) == "1–1 of 1."


def test_a_picture_can_be_enlarged_walked_and_closed_by_keyboard(gallery):
    gallery.find_element(By.CSS_SELECTOR, ".card .frame").send_keys(Keys.ENTER)
    dialog = gallery.find_element(By.ID, "viewer")
    until(gallery, dialog.is_displayed)
    until(gallery, lambda: loaded(gallery, ".large") == 1)
    width = gallery.execute_script("return document.querySelector('.large').naturalWidth")
    assert width == 192  # the picture itself, not its thumbnail
    gallery.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    until(gallery, lambda: gallery.find_element(By.ID, "viewer-place").text == f"2 of {ROWS:,}")
    gallery.switch_to.active_element.send_keys(Keys.ESCAPE)
    until(gallery, lambda: not dialog.is_displayed())


def test_hostile_text_is_shown_as_text_and_does_nothing(gallery):
    look_for(gallery, "onerror")
    assert len(cards(gallery)) == 1
    assert cards(gallery)[0].find_element(By.CSS_SELECTOR, ".prompt").get_attribute("textContent") == HOSTILE
    cards(gallery)[0].find_element(By.CSS_SELECTOR, ".frame").click()
    until(gallery, lambda: gallery.find_element(By.ID, "viewer").is_displayed())
    facts = gallery.find_element(By.CSS_SELECTOR, ".viewer-facts").get_attribute("textContent")
    assert HOSTILE in facts
    assert "<i>0123</i>" in facts
    assert "<u>x</u>" in facts
    made = "return document.querySelectorAll('#grid b, #viewer b, #viewer u, #viewer i, img[onerror]').length"
    assert gallery.execute_script(made) == 0
    assert gallery.title == f"{RUN}: pictures"


def test_markup_and_pictures_from_elsewhere_are_refused_by_the_policy(gallery):
    gallery.execute_script(
        "addEventListener('securitypolicyviolation', e => document.body.dataset.refused = e.effectiveDirective);"
        "const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; document.body.append(image);"
    )
    until(gallery, lambda: gallery.find_element(By.TAG_NAME, "body").get_attribute("data-refused") == "img-src")
    with pytest.raises(Exception, match="TrustedHTML"):
        gallery.execute_script("document.body.insertAdjacentHTML('beforeend', '<b>x</b>')")


def test_groups_stand_under_headings_and_stay_together(gallery):
    gallery.execute_script("location.hash = '#group=person_id&sort=problems'")
    until(gallery, lambda: gallery.find_elements(By.CSS_SELECTOR, ".group"))
    heading = gallery.find_element(By.CSS_SELECTOR, ".group").text
    assert "model-00" in heading
    assert "without a result" in heading
    assert cards(gallery)[0].get_attribute("data-problem") == "yes"


def test_pages_turn_and_the_address_remembers_them(gallery):
    gallery.find_element(By.CSS_SELECTOR, "#pager button[aria-label='Next page']").click()
    until(gallery, lambda: found(gallery).startswith("49–96"))
    gallery.refresh()
    until(gallery, lambda: found(gallery).startswith("49–96"))


def test_ticked_keys_are_saved_one_a_line(gallery, downloads):
    for box in gallery.find_elements(By.CSS_SELECTOR, ".tick input")[:3]:
        box.click()
    assert gallery.find_element(By.ID, "chosen-count").text == "3 ticked."
    gallery.find_element(By.ID, "save").click()
    target = Path(downloads) / f"keys-{RUN}.txt"
    until(gallery, target.exists)
    assert target.read_text() == "".join(f"{row(n)['key']}\n" for n in range(3))


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_nothing_sticks_out_at_the_side(gallery, width):
    gallery.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    try:
        until(gallery, lambda: gallery.execute_script("return document.documentElement.clientWidth") <= width)
        assert gallery.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        gallery.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
