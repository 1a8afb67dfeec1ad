"""The command `idgen <job> …`, and the table of jobs that jobs/*.py call by name.

A job's code is imported when it runs: --help needs none of it, and `status` no planner.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from idgen import __version__
from idgen.command import ending_unread, main
from idgen.config import Config
from idgen.errors import Exit
from idgen.suggestions import suggestion

_WHAT = ("manifest", "output", "recipe", "reference", "prompt", "select")
_WHICH_WEIGHTS = ("overrides", "base_overrides", "recipes_dir", "bases_dir")
_PHOTOS = ("sources.roots", "sources.schemes", "sources.hosts", "sources.buckets")
_RUN = (
    *_WHAT, "run", "overrides", *_PHOTOS, "sampling.num_gpus", "sampling.num_cpus", "sampling.batch_size",
    "faces.num_cpus", "faces.num_gpus", "images.format", "images.provenance", "cluster.address", "report.enabled",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One job: what `idgen <job>` runs."""

    about: str
    """Its help: the first line is in the list of jobs."""
    entry: str
    """<module>:<function>, which takes the configuration and returns the exit code."""
    settings: tuple[str, ...]
    """Keys, and names of whole sections, that it reads and people set for it: --help shows them."""
    actions: bool = False
    """The first word names what to do; the function takes help and words, as `weights_main`."""


JOBS = {
    "plan": Job(
        about="""Show what generate would do: check every row, count, and estimate the time, without a GPU or Ray.

    idgen plan configs/demo.yaml

Writes runs/<run_id>/plan/summary.json and refused.csv into the output.""",
        entry="idgen.driver.run:plan_job",
        settings=(*_WHAT, "run.id", "run.max_attempts", "run.commercial", *_WHICH_WEIGHTS, *_PHOTOS, "planner"),
    ),
    "generate": Job(
        about="""Make the pictures that a manifest asks for and the catalogue does not have yet.

    idgen generate configs/demo.yaml
    idgen generate my.yaml manifest=s3://shop/manifest.parquet output=s3://shop/catalogue select.limit=16
    idgen generate configs/demo.yaml reference=face.png prompt="studio portrait"
    ray job submit --working-dir . -- python jobs/generate.py my.yaml

Run it again after a crash or a stop: it continues where it stopped. Nothing to do = exit 0 within seconds.""",
        entry="idgen.driver.run:generate_job",
        settings=_RUN,
    ),
    "rerun": Job(
        about="""Make pictures again that the ledger counts as done: by status, code, missing image, decision, or file.

    idgen rerun my.yaml rerun.code=[reference_missing]
    idgen rerun my.yaml rerun.missing=true
    idgen rerun my.yaml rerun.status=[ok] select.file=keys.txt
    idgen rerun my.yaml rerun.decision=rejected
    idgen rerun my.yaml rerun.decision=rejected rerun.set.guidance_scale=4

The same as generate with a filter: the manifest stays the same, and so do all keys. Only rerun.decision=rejected makes
other pictures, with new seeds, in the place of those that people rejected; later runs ask for those.""",
        entry="idgen.driver.run:rerun_job",
        settings=("rerun", *_RUN),
    ),
    "review": Job(
        about="""Record what people decided about pictures: the decisions.csv that the gallery exports.

    idgen review my.yaml decisions=decisions.csv review.by=mara
    idgen rerun my.yaml rerun.decision=rejected
    idgen generate my.yaml images.publish=accepted

Of each picture the newest decision counts. rerun makes others in the place of rejected ones; the next run's names
follow what was decided, even when it has nothing to make. The same file twice is recorded once.""",
        entry="idgen.driver.review:review_job",
        settings=("output", "decisions", "review"),
    ),
    "status": Job(
        about="""Show how a run stands, or the newest runs: reads only the run's folder, needs no Ray.

    idgen status output=output/demo
    idgen status output=s3://shop/catalogue run.id=20261121-020000-a1b2""",
        entry="idgen.driver.inspect:status_job",
        settings=("output", "run.id"),
    ),
    "verify": Job(
        about="""Check that every picture the ledger calls ok is really there, and list images that no ledger row names.

    idgen verify output=output/demo
    idgen verify output=output/demo verify.hashes=true

Exit 3 when something is missing; `idgen rerun rerun.missing=true` makes it again.""",
        entry="idgen.driver.inspect:verify_job",
        settings=("output", "verify"),
    ),
    "report": Job(
        about="""Make the gallery of a finished run again, show it, pack it: runs/<run_id>/report/index.html.

    idgen report configs/demo.yaml run.id=20261121-020000-a1b2
    idgen report output=s3://shop/catalogue report.serve=8765      a link for the browser of this machine, until Ctrl-C
    idgen report my.yaml report.zip=true                           report.zip for sending
    idgen report my.yaml report.presign_s=86400                    on S3: a link to report.zip, valid for a day

Without run.id the newest run is taken.""",
        entry="idgen.driver.report:report_job",
        settings=("output", "run.id", "manifest", *_PHOTOS, "report"),
    ),
    "weights": Job(
        about="""List the weights that recipes load, check them, and download what is missing.

    idgen weights list                                  every recipe, every base: what, where, how large
    idgen weights check recipe=faceid-sdxl              there, right sha256, right kind of file? exit 0 or 2
    idgen weights fetch recipe=faceid-sdxl              get what is missing; an interrupted download continues
    idgen weights fetch recipe=faceid-sdxl@sdxl-lightning-4step
    idgen weights convert weights.source=a.bin weights.target=a.safetensors
    idgen weights convert weights.source=face_detection_yunet.onnx weights.target=pack/det.onnx   and sface

Only fetch uses the network; runs never do. Hub files go to the hub's own cache (HF_HOME), face packs to
~/.insightface/models.""",
        entry="idgen.driver.weights:weights_main",
        settings=("recipe", *_WHICH_WEIGHTS, "weights"),
        actions=True,
    ),
    "benchmark": Job(
        about="""Compare the whole job with its own sampler in a plain loop, in one run on one machine.

    idgen benchmark configs/demo.yaml
    idgen benchmark my.yaml manifest=… output=… benchmark.pictures=256

    idgen benchmark benchmark.device=cuda benchmark.size=full benchmark.json=figures.json

Raises the steps until a picture takes 200 ms, runs the bare sampler over the manifest's pictures, then the job (faces,
sampling, encoding, writing, ledger), then the bare sampler again, and prints both rates, start-up excluded.

With benchmark.device it is the whole script instead, on random weights of its own: does every recipe work in
half precision (door), are the tensors the originals' (correctness), how fast is a plain diffusers loop, our sampler,
our sampler compiled (speed), the job against its sampler (job), the tests that need a GPU (gpu_tests). A block that
fails costs only itself; exit 3 says that one did.""",
        entry="idgen.driver.benchmark:benchmark_job",
        settings=("benchmark", "manifest", "recipe", "overrides", "sampling.num_gpus", "sampling.batch_size"),
    ),
}  # fmt: skip
"""Every job by its name, in the order of its help."""


def idgen() -> int:
    """Run the job that the first word of the command line names; return its exit code."""
    words = sys.argv[1:]
    name = words[0] if words else ""
    if name in JOBS:
        return run_job(name, words[1:])
    if name in ("-h", "--help"):
        return ending_unread(_help)
    if name == "--version":
        print(__version__)
        return Exit.OK
    wrong = f"there is no job {name!r}{suggestion(name, JOBS)}" if name else "no job is named"
    print(f"error: {wrong}; say idgen {' | '.join(JOBS)}", file=sys.stderr)
    return Exit.USAGE


def run_job(name: str, words: Sequence[str] | None = None) -> int:
    """Run a job with the words of the command line, those of this process by default; return its exit code."""
    job, words = JOBS[name], list(sys.argv[1:] if words is None else words)
    module, _, function = job.entry.partition(":")
    if job.actions:
        return int(getattr(import_module(module), function)(job.about, words, job.settings))

    def start(config: Config) -> int:
        """Import the job's code and run it."""
        return int(getattr(import_module(module), function)(config))

    return main(job.about, start, words, job.settings)


def _help() -> int:
    """Print the list of jobs."""
    print("idgen <job> [file.yaml …] [key=value …]\n")
    for name, job in JOBS.items():
        print(f"  {name:<10} {job.about.splitlines()[0]}")
    print("\n`idgen <job> --help` shows a job's own settings, `--help-all` every setting.")
    print("In a checkout `python jobs/<job>.py` is the same as `idgen <job>`.")
    return Exit.OK


if __name__ == "__main__":
    sys.exit(idgen())
