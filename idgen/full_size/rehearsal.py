"""One recipe's rehearsal: write, list, probe alone and beside a second process, run the job, hold it to the promise."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from idgen.full_size.memory import Watch
from idgen.full_size.sets import write

ROOT = Path(__file__).parents[2]
PEOPLE = ROOT / "manifests" / "demo"
MOST = 1.15
"""Private memory at its peak and mapped weights together, over the weights."""
ROOM_FOR_TWO = 12e9
"""Two processes are measured beside each other where they surely fit, and soon."""
PROCESSES = {"Sampling": "sampling", "Texts": "texts", "Faces": "faces"}
"""Part of the name of an actor's process -> what it is called here."""

Found = dict[str, Any]


def rehearse(recipe: str, folder: Path) -> Found:
    """Return what was measured of `recipe`, bytes and seconds; the weights stay in `folder`."""
    started_s = time.monotonic()
    words = write(recipe, folder)
    found: Found = {"recipe": recipe, "write_s": time.monotonic() - started_s}
    found["listed_gb"] = _listed(recipe, words, folder)
    found["disk"] = _on_disk(words)
    found["alone"], found["beside"] = _probe(recipe, "sampler", words)
    if recipe.startswith("kolors"):
        found["texts"], _ = _probe(recipe, "texts", words)
    found["job"] = _job(recipe, words, folder)
    found["peak_over_weights"] = round(_over(found["alone"]), 3)
    of_texts = [_over(found["texts"])] if "texts" in found else []
    found["kept"] = found["job"]["ok"] == 2 and max([found["peak_over_weights"], *of_texts]) <= MOST
    found["seconds"] = time.monotonic() - started_s
    return found


def titles() -> list[str]:
    """Return the head of the table."""
    columns = (
        "recipe", "on disk", "`weights list`", "load", "weights", "of them mapped", "peak, own", "peak / weights",
        "resident after load", "job: sampling actor's own peak", "job: text actor's", "step", "GFLOP",
    )  # fmt: skip
    return [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]


def row(found: Found) -> str:
    """Return one recipe's row: GB and seconds."""
    if "reason" in found:
        return f"| {found['recipe']} | failed: {found['reason'].splitlines()[0][:200]} |"
    alone, job = found["alone"], found["job"]
    texts = job["private"].get("texts")
    cells = [
        found["recipe"], _gb(found["disk"]), f"{found['listed_gb']:.2f}", f"{alone['load_s']:.0f} s",
        _gb(alone["weights"]), _gb(alone["weights_mapped"]), _gb(alone["private_peak"]),
        f"{found['peak_over_weights']:.2f}", _gb(alone["resident_loaded"]), _gb(job["private"]["sampling"]),
        _gb(texts) if texts else "", f"{alone['step_s']:.1f} s", f"{alone['step_gflop']:.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _over(probed: Found) -> float:
    """What a process had of its own at its peak, and the weights that are pages of files, over all weights."""
    return float((probed["private_peak"] + probed["weights_mapped"]) / probed["weights"])


def _gb(count: float) -> str:
    return f"{count / 1e9:.2f}"


def _listed(recipe: str, words: list[str], folder: Path) -> float:
    """Return the sum of what `jobs/weights.py list` says of the recipe's parts."""
    command = [sys.executable, "jobs/weights.py", "list", f"recipe={recipe}", *words]
    done = subprocess.run(command, cwd=ROOT, env=_env(folder), stdout=subprocess.PIPE, text=True, check=True)
    return sum(float(size) for size in re.findall(r"([\d.]+) GB  ", done.stdout))


def _on_disk(words: list[str]) -> int:
    """Return the bytes of all files that the words name, each once."""
    places = {Path(word.partition("=")[2]) for word in words if "=/" in word}
    files = {path for place in places for path in ([place] if place.is_file() else place.rglob("*")) if path.is_file()}
    return sum(path.stat().st_size for path in files)


def _probe(recipe: str, what: str, words: list[str]) -> tuple[Found, Found | None]:
    """Return what a process alone took, and what two of them hold beside each other where both fit."""
    first = _start(recipe, what, words)
    alone = _answer(first)
    twice = 2 * (alone["weights"] - alone["weights_mapped"]) + alone["weights_mapped"] + 4e9
    beside: Found | None = None
    if twice < ROOM_FOR_TWO and what == "sampler":
        second = _start(recipe, what, words)
        _answer(second)
        _ask(first)
        both = [_ask(one) for one in (second, first)]  # each has read all its weights just before
        beside = {"pss": sum(one["pss"] for one in both), "private": sum(one["private"] for one in both)}
        second.communicate()
    first.communicate()
    return alone, beside


def _start(recipe: str, what: str, words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "idgen.full_size.probe", recipe, what, *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _ask(process: subprocess.Popen[str]) -> Found:
    assert process.stdin is not None
    process.stdin.write("share\n")
    process.stdin.flush()
    return _answer(process)


def _answer(process: subprocess.Popen[str]) -> Found:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            return dict(json.loads(line))
    raise RuntimeError(f"{process.args!r} ended with {process.wait()} and said nothing")


def _job(recipe: str, words: list[str], folder: Path) -> Found:
    """Run the job over two rows; return pictures made, seconds, load milliseconds and each actor's peaks."""
    manifest, output = folder / f"{recipe}.csv", folder / f"out-{recipe}"
    product = recipe.startswith("ecomid-inpaint")
    lines = [
        ",".join([name, str(PEOPLE / f"{name}.png"), "portrait of a person", *([str(PEOPLE / "shirt.png")] * product)])
        for name in ("ada", "ben")
    ]
    head = "row_id,reference_uri,prompt" + ",init_image_uri" * product
    manifest.write_text("\n".join([head, *lines, ""]))
    settings = [
        f"recipe={recipe}", f"manifest={manifest}", f"output={output}", f"sources.roots=[{PEOPLE}]",
        "sampling.num_gpus=0", "faces.num_cpus=0.5", "sampling.batch_size=1", "sampling.batch_deadline_s=1800",
        *(f"overrides.{recipe}.defaults.{one}" for one in ("width=256", "height=256", "num_inference_steps=2")),
    ]  # fmt: skip
    command = [sys.executable, "jobs/generate.py", *settings, *words]
    started_s = time.monotonic()
    with (folder / f"{recipe}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=_env(folder), stdout=log, stderr=subprocess.STDOUT)
        with Watch(lambda: _actors(process.pid)) as watch:
            process.wait()
    summaries = [json.loads(path.read_text()) for path in output.glob("runs/*/summary.json")]
    if not summaries or not watch.most_private:
        raise RuntimeError(f"the job made no summary or sampled nothing: {Path(log.name).read_text()[-500:]}")
    summary = summaries[0]
    return {
        "seconds": time.monotonic() - started_s, "ok": summary["ok"], "exit_code": summary["exit_code"],
        "load_ms": summary["work"].get("load_ms"), "texts_s": summary["texts_s"], "private": watch.most_private,
        "mapped": watch.most_mapped, "resident": watch.most,
    }  # fmt: skip


def _actors(ancestor: int) -> Iterator[tuple[str, int]]:
    """Yield what is known of the processes below `ancestor`: what they are called here and their ids."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    for pid in parents:
        above = pid
        while above in parents and above != ancestor:
            above = parents[above]
        if above != ancestor:
            continue
        with suppress(OSError):
            title = Path(f"/proc/{pid}/cmdline").read_text()
            yield from ((name, pid) for part, name in PROCESSES.items() if f"({part}" in title)


def _env(folder: Path) -> dict[str, str]:
    """A home of its own, where hashes of files are remembered that are soon gone."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    return os.environ | {"HOME": str(home), "PYTHONPATH": str(ROOT)}
