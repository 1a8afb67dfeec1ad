"""The pages that people read: every link leads somewhere, and the README's tables are the code's."""

import re
import subprocess
from pathlib import Path

import pytest

from idgen.errors import Exit
from idgen.manifest.prompt_kinds import KINDS

ROOT = Path(__file__).parents[1]
PAGES = [
    path for path in sorted(ROOT.rglob("*.md")) if path.relative_to(ROOT).parts[0].split(".")[0] not in ("", "output")
]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text_of(page):
    """A page without its code."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(page):
    """As hosts of repositories make them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page):
    for link in LINK.findall(text_of(page)):
        if link.startswith("https://"):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_is_short_and_names_every_page():
    readme = ROOT / "README.md"
    assert len(readme.read_text(encoding="utf-8").splitlines()) <= 150
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in LINK.findall(text_of(readme))}
    beside = {ROOT / folder / "README.md" for folder in ("configs", "jobs", "manifests", "tests")}
    assert beside | {ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")} <= linked


def test_the_readme_s_jobs_and_exit_codes_are_the_code_s():
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Jobs")[2].partition("## Pages")[0]
    jobs = {path.stem for path in (ROOT / "jobs").glob("*.py")}
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == jobs
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == {int(code) for code in Exit}


def test_the_warnings_of_the_plan_are_on_the_page_of_the_jobs():
    told = set(re.findall("`([a-z_]+)`", (ROOT / "jobs" / "README.md").read_text().partition("## generate")[0]))
    code = "\n".join(path.read_text() for path in (ROOT / "idgen" / "manifest").glob("*.py"))
    made = set(re.findall(r'PlanWarning\("([a-z_]+)"', code))
    assert made == {"photo_missing", "size_untrained", "folder_column", "tries_unused"}
    assert made | {kind.code for kind in KINDS} | {"prompt_cut", "negative_prompt_cut"} <= told


def test_the_top_of_the_repository_is_what_the_readme_names():
    done = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("no checkout")
    top = {name.partition("/")[0] for name in done.stdout.splitlines()}
    assert "py.typed" in {Path(name).name for name in done.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} == {
        "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "SECURITY.md", "configs",
        "constraints.txt", "idgen", "jobs", "manifests", "pyproject.toml", "tests",
    }  # fmt: skip
