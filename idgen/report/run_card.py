"""The run on one card: counts, times, cost, recipes with their licences, versions; as Markdown and as HTML.

Everything comes from the run's summary.json; what it lacks is left out.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from idgen.report.progress import duration
from idgen.report.rows import Tally

Facts = Mapping[str, object]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|!~])")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with (label, value) lines; values are plain text that the renderers escape."""

    title: str
    lines: list[tuple[str, str]] = field(default_factory=list)


def run_sections(tally: Tally, summary: Facts) -> list[Section]:
    """Return what the card says, section by section; sections without lines are left out.

    Read from `summary`, all optional: exit_code, started_at, finished_at, seconds, images_per_s, gpu_hours, device,
    recipes [{name, title, licence {name, commercial_use, registration, note}}], versions {library: version},
    git_commit, config_hash, manifest, output, warnings [text].
    """
    sections = [
        Section("Pictures", _counts(tally)),
        Section("Time and cost", list(_times(summary))),
        Section("Recipes and licences", [_recipe(item) for item in _dicts(summary.get("recipes"))]),
        Section("Made with", list(_origin(summary))),
        Section("Warnings", [("", one_line(text)) for text in _list(summary.get("warnings"))]),
    ]
    return [section for section in sections if section.lines]


def to_markdown(run_id: str, sections: Iterable[Section], notes: Sequence[str] = ()) -> str:
    """Return the card as Markdown in which no value can open a tag, a link or a table cell."""
    lines = [f"# Run {_md(run_id)}", ""]
    lines += [f"> {_md(note)}" for note in notes] + ([""] if notes else [])
    for section in sections:
        lines += [f"## {section.title}", ""]
        lines += [f"- {_md(label)}: {_md(value)}" if label else f"- {_md(value)}" for label, value in section.lines]
        lines.append("")
    return "\n".join(lines)


def to_html(sections: Iterable[Section]) -> str:
    """Return the card as HTML, everything escaped."""
    return "\n".join(_html_section(section) for section in sections)


def one_line(text: object) -> str:
    """Return the text without control characters and line breaks, and without marks that reorder text."""
    return " ".join(_CONTROL.sub(" ", str(text)).split())


def balance(tally: Tally) -> str:
    """Return the account of the run, as in `asked 10 = ok 7 + rejected 1 + failed 1 + skipped 1`."""
    parts = f"ok {tally.ok:,} + rejected {tally.rejected:,} + failed {tally.failed:,} + skipped {tally.skipped:,}"
    return f"asked {tally.asked:,} = {parts}" + (f" + not begun {tally.unfinished:,}" if tally.unfinished else "")


def brief(summary: Facts) -> str:
    """Return the run in a few words: how long, how fast, how dear, and whether a recipe forbids commercial use."""
    times = dict(_times(summary))
    words = [times[label] for label in ("Took", "Rate", "GPU time") if label in times]
    recipes = [recipe for _, recipe in map(_recipe, _dicts(summary.get("recipes")))]
    if any("commercial use: no" in recipe for recipe in recipes):
        words.append("not for commercial use")
    return " · ".join(words)


def _counts(tally: Tally) -> list[tuple[str, str]]:
    return [("Account", balance(tally))]


def _times(summary: Facts) -> Iterable[tuple[str, str]]:
    for name, label in (("started_at", "Started"), ("finished_at", "Finished")):
        if summary.get(name):
            yield label, _moment(str(summary[name]))
    if (seconds := _number(summary.get("seconds"))) is not None:
        yield "Took", duration(seconds)
    if (rate := _number(summary.get("images_per_s"))) is not None:
        yield "Rate", f"{rate:.2f} images/s"
    if (hours := _number(summary.get("gpu_hours"))) is not None:
        yield "GPU time", f"{hours:.2f} GPU-hours"
    if summary.get("device"):
        yield "Device", one_line(summary["device"])
    if summary.get("exit_code") is not None:
        yield "Exit code", one_line(summary["exit_code"])


def _moment(text: str) -> str:
    """An ISO time for people, in UTC; other text as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return one_line(text)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment.tzinfo else one_line(text)


def _recipe(recipe: Facts) -> tuple[str, str]:
    licence = recipe.get("licence")
    facts: Facts = licence if isinstance(licence, Mapping) else {}
    allowed = "yes" if facts.get("commercial_use") is True else "no"
    first = facts.get("registration")
    if allowed == "yes" and isinstance(first, list) and first:
        allowed += f", after registration with {', '.join(map(str, first))}"
    words = [f"licence {facts.get('name') or 'unknown'}", f"commercial use: {allowed}"]
    words += [str(text) for text in (facts.get("note"), recipe.get("title")) if text]
    return one_line(recipe.get("name", "")), one_line("; ".join(words))


def _origin(summary: Facts) -> Iterable[tuple[str, str]]:
    for name, label in (
        ("manifest", "Manifest"),
        ("output", "Output"),
        ("git_commit", "Git commit"),
        ("config_hash", "Configuration"),
    ):
        if summary.get(name):
            yield label, one_line(summary[name])
    versions = summary.get("versions")
    if isinstance(versions, Mapping) and versions:
        yield "Versions", one_line(", ".join(f"{name} {version}" for name, version in sorted(versions.items())))


def _html_section(section: Section) -> str:
    def line(label: str, value: str) -> str:
        """Return one term with its value."""
        term = f"<dt>{html.escape(label)}</dt>" if label else ""
        return f"{term}<dd{'' if label else ' class=wide'}>{html.escape(value)}</dd>"

    lines = "".join(line(label, value) for label, value in section.lines)
    return f"<section><h3>{html.escape(section.title)}</h3><dl>{lines}</dl></section>"


def _md(text: object) -> str:
    return _MARKDOWN.sub(r"\\\1", one_line(text)).replace(r"\<", "&lt;").replace(r"\>", "&gt;")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _dicts(value: object) -> list[Facts]:
    return [item for item in _list(value) if isinstance(item, Mapping)]
