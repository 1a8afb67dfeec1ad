from make_run import SUMMARY

from idgen.report.rows import Tally
from idgen.report.run_card import balance, brief, run_sections, to_html, to_markdown

TALLY = Tally(asked=1000, ok=900, rejected=40, failed=10, skipped=50)


def test_the_card_says_counts_times_cost_licences_versions_and_warnings():
    card = to_markdown("run-1", run_sections(TALLY, SUMMARY), ["a note"])
    for words in (
        "# Run run-1",
        "> a note",
        "asked 1,000 = ok 900 + rejected 40 + failed 10 + skipped 50",
        "Started: 2026-10-12 14:03 UTC",
        "Took: 77 min",
        "Rate: 2.08 images/s",
        "GPU time: 1.28 GPU-hours",
        "faceid-sd15: licence research only; commercial use: no; face pack",
        "Git commit: d2c1f39",
        "Configuration: 9f2c",
        "Versions: diffusers 0.42.1, torch 2.13",
        "12 references are smaller than 800 px",
    ):
        assert words in card


def test_a_licence_that_nobody_stated_is_no_permission():
    card = to_markdown("r", run_sections(TALLY, {"recipes": [{"name": "x"}, {"name": "y", "licence": "MIT"}]}))
    assert card.count("licence unknown; commercial use: no") == 2


def test_a_licence_that_asks_for_registration_says_with_whom():
    licence = {"name": "its own", "commercial_use": True, "registration": ["Kwai-Kolors"], "note": ""}
    recipes = [{"name": "a", "licence": licence}, {"name": "b", "licence": licence | {"commercial_use": False}}]
    card = to_markdown("r", run_sections(TALLY, {"recipes": recipes}))
    assert "a: licence its own; commercial use: yes, after registration with Kwai-Kolors" in card
    assert "b: licence its own; commercial use: no\n" in card


def test_a_summary_that_lacks_or_garbles_everything_still_gives_the_counts():
    for summary in ({}, {"recipes": 3, "versions": [], "seconds": "x", "gpu_hours": None, "warnings": "w"}):
        assert [section.title for section in run_sections(TALLY, summary)] == ["Pictures"]
        assert brief(summary) == ""


def test_values_open_neither_tags_nor_links_nor_headings():
    bad = "<script>x</script> [a](http://b) `c` | # \n# heading \x1b[31m\u202e"
    sections = run_sections(TALLY, {"git_commit": bad, "warnings": [bad]})
    card = to_markdown("r", sections, [bad])
    assert "<script" not in card
    assert "\n# heading" not in card
    assert "](" not in card.replace("\\]", "")
    assert "\x1b" not in card
    assert "<script" not in to_html(sections)


def test_the_brief_names_the_strictest_licence():
    assert brief(SUMMARY) == "77 min · 2.08 images/s · 1.28 GPU-hours · not for commercial use"
    free = {"recipes": [{"name": "a", "licence": {"name": "Apache-2.0", "commercial_use": True}}]}
    assert brief(free) == ""


def test_pictures_that_were_never_begun_stand_in_the_account():
    assert balance(Tally(asked=10, ok=4, rejected=0, failed=0, skipped=0)).endswith("skipped 0 + not begun 6")
