"""Every setting of a job: frozen dataclasses, which are schema and documentation at once.

Read in `jobs/` only, by `jobs` through idgen/settings.py; everything below takes the dataclass of its own room.
Each field's `doc` is what `--help` and `--help-all` print.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from idgen.checks.config import ChecksConfig
from idgen.checks.gates import GateSettings
from idgen.setting import doc


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """One run of a job."""

    id: str = doc("name of the run's folder; default: date, time and four random digits", "")
    max_attempts: int = doc("how often a retriable failure is tried, over all runs", 3)
    second_pass: bool = doc("try retriable failures once more at the end of the same run", True)
    max_failed_fraction: float = doc("exit 3 when more than this share of the pictures tried are not ok", 0.25)
    max_held_fraction: float = doc(
        "exit 3 when gates hold back more than this share of the pictures tried; 1 = never", 1.0
    )
    max_extra_pictures: int = doc(
        "how many pictures a run may make beyond those asked for, as further tries of rows with `tries`; -1 = no bound",
        -1,
    )
    breaker_failures: int = doc(
        "stop (exit 3) when this many pictures in a row fail with the same code while fetching or publishing", 500
    )
    deadline_s: float = doc("stop cleanly (exit 5) after this long; 0 = never", 0.0)
    commercial: bool = doc("refuse (exit 4) recipes whose weights forbid commercial use", False)
    registered: list[str] = doc(
        "owners of weights with whom you have registered for commercial use, for example [Kwai-Kolors]",
        default_factory=list,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectConfig:
    """Which rows of the manifest; a selection never changes a key."""

    limit: int = doc("only the first N pictures (in a rerun: of those that rerun.* picks); 0 = all", 0)
    where: str = doc("SQL condition on the manifest's columns, for example: sku = '0123'", "")
    file: str = doc("text file with one row_id or key per line", "")


@dataclass(frozen=True, kw_only=True, slots=True)
class RerunConfig:
    """What `rerun` makes again although the ledger has it. Rows are picked by select.*, too."""

    status: list[str] = doc(
        "pictures whose newest ledger row has one of these: ok, rejected, failed", default_factory=list
    )
    code: list[str] = doc(
        "pictures with one of these codes, for example rerun.code=[reference_missing]", default_factory=list
    )
    missing: bool = doc("pictures whose image object is gone", False)
    decision: Literal["", "rejected"] = doc(
        "rejected: other pictures, with new seeds, in the place of those that people rejected (jobs/review.py)", ""
    )
    set: dict[str, str] = doc(
        "with rerun.decision: columns that these pictures get another value for, for example rerun.set.guidance_scale=4",
        default_factory=dict,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewConfig:
    """What `review` records."""

    by: str = doc("who decided; empty = the name you are logged in with", "")


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyConfig:
    """How thoroughly `verify` checks."""

    hashes: bool = doc("read every image and compare its sha256", False)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcesConfig:
    """Where references may come from, and how much of them."""

    roots: list[str] = doc(
        "local folders from which photos may be read; the manifest's own folder is always allowed", default_factory=list
    )
    schemes: list[str] = doc("allowed URI schemes", default_factory=lambda: ["file", "s3", "https", "http"])
    hosts: list[str] = doc(
        "allowed http(s) hosts, for example *.example.com; empty = every public host", default_factory=list
    )
    private_hosts: list[str] = doc(
        "host:port that is allowed although it is not public (tests, an internal store)", default_factory=list
    )
    user_agent: str = doc("User-Agent header that web servers see", "idgen")
    headers: dict[str, dict[str, str]] = doc(
        "extra headers per host, for example headers: {cdn.example.com: {Authorization: 'env:CDN_AUTH'}}; env:NAME is read from the workers' environment; keep secrets there",
        default_factory=dict,
    )
    buckets: list[str] = doc("allowed S3 buckets; empty = all that the credentials can read", default_factory=list)
    max_bytes: int = doc("largest file", 64 * 2**20)
    max_pixels: int = doc("most pixels a photo may have, checked before it is decoded", 64_000_000)
    min_side_px: int = doc("shortest side that a reference may have", 64)
    warn_side_px: int = doc("a reference with a smaller side gets a warning", 800)
    connect_timeout_s: float = doc("time limit to open a connection", 5.0)
    deadline_s: float = doc("time limit for one whole file", 60.0)
    threads: int = doc("parallel fetches in one face actor", 8)
    signature_parameters: list[str] = doc(
        "URL parameters that are dropped from keys, logs and ledgers; a trailing * is a wildcard",
        default_factory=lambda: [
            "X-Amz-*", "X-Goog-*", "sig", "se", "sp", "sv", "sr", "st", "spr", "skoid", "sktid", "skt", "ske", "sks",
            "skv", "Signature", "Expires", "Key-Pair-Id", "Policy", "AWSAccessKeyId", "GoogleAccessId",
        ],
    )  # fmt: skip
    secret_parameters: list[str] = doc(
        "URL parameters that are dropped from logs, ledgers, results and galleries, but stay in keys",
        default_factory=lambda: [
            "token", "access_token", "api_token", "auth_token", "id_token", "api_key", "apikey", "password", "secret",
        ],
    )  # fmt: skip

    @property
    def hidden_parameters(self) -> list[str]:
        """URL parameters that are written nowhere. Only signatures are left out of keys: ?token= may tell photos apart."""
        return [*self.signature_parameters, *self.secret_parameters]


@dataclass(frozen=True, kw_only=True, slots=True)
class FacesConfig:
    """The face actors."""

    actors: int = doc("number of face actors; 0 = one per two sampling actors, at least one", 0)
    num_cpus: float = doc("CPUs per face actor, and threads it uses (at least 1)", 0.5)
    num_gpus: float = doc("GPUs per face actor, usually a fraction; needs onnxruntime-gpu", 0.0)
    device: Literal["auto", "cpu", "cuda"] = doc(
        "where faces are found; auto = cuda with num_gpus > 0, else cpu", "auto"
    )
    min_face_px: int = doc("smallest face that is used", 32)
    references_differ: Literal["warn", "refuse"] = doc(
        "what to do with a row whose references look like different people", "warn"
    )
    warn_face_fraction: float = doc("a face smaller than this share of the photo gets a warning", 0.03)
    batch_deadline_s: float = doc("a worker that hangs this long on one reference is restarted", 300.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingConfig:
    """The sampling actors."""

    actors: int = doc("number of sampling actors; 0 = one per accelerator, 1 on a CPU machine", 0)
    num_gpus: float = doc("GPUs per sampling actor; 0 on a CPU machine", 1.0)
    num_cpus: float = doc("CPUs per sampling actor", 1.0)
    device: str = doc("torch device; auto = cuda with num_gpus > 0, else cpu", "auto")
    batch_size: int = doc("rows per batch; 0 = the recipe's", 0)
    batch_deadline_s: float = doc("a worker that hangs this long on one batch is restarted", 900.0)
    compile: bool = doc("regional torch.compile of the UNet", False)
    keep_texts: bool = doc("keep prompts that were encoded ahead (texts/ in the output) after a successful run", False)


@dataclass(frozen=True, kw_only=True, slots=True)
class TextsConfig:
    """The actors that encode prompts ahead, for recipes whose base.text says so; they end before sampling begins."""

    actors: int = doc("number of text actors; 0 = one per 1,024 prompts, at most one per accelerator", 0)
    num_gpus: float | None = doc("GPUs per text actor; null = sampling.num_gpus", None)
    num_cpus: float | None = doc("CPUs per text actor; null = sampling.num_cpus", None)
    deadline_s: float = doc("a worker that hangs this long on one prompt is restarted", 300.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannerConfig:
    """How the work is cut."""

    shard_seconds: float = doc("planned time of one shard", 120.0)
    min_shard_rows: int = doc("smallest shard", 8)
    max_shard_rows: int = doc("largest shard", 256)
    memory_mb: int = doc("memory DuckDB may use before it spills to disk", 2048)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagesConfig:
    """The files that come out."""

    format: Literal["png", "jpeg", "webp"] = doc("format of pictures whose output_format is null", "png")
    quality: int = doc("quality of jpeg and webp files", 92)
    publish: Literal["ok", "not_held", "accepted"] = doc(
        "what gets a copy under its output_name: ok = every picture, not_held = none that a gate holds back, accepted = only what people accepted; never what they rejected; an acceptance counts more than a gate",
        "not_held",
    )
    publishers: int = doc("threads of each sampling actor that encode and write", 2)
    provenance: Literal["public", "full", "none"] = doc(
        "metadata written into each picture: public = DigitalSourceType, software, key, run", "public"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterConfig:
    """The Ray cluster."""

    address: str = doc(
        "address of the cluster; empty = the one this job was submitted to, or a local one; local = always a new one",
        "",
    )
    wait_s: float = doc("how long to wait for the cluster to be large enough, then exit 6", 600.0)
    num_cpus: int = doc("CPUs of a local cluster; 0 = all", 0)
    shared_output: bool = doc("true when all nodes see the local output folder", False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportConfig:
    """The gallery."""

    enabled: bool = doc("make the gallery at the end of generate", True)
    max_rows: int = doc("most pictures shown", 40_000)
    thumbnail_px: int = doc("side of the thumbnails, which are made in the run", 256)
    references: bool = doc("show the reference photos too", True)
    reasons: list[str] = doc(
        "what a picture may be rejected for: at most nine, for the keys 1 to 9 of the gallery",
        default_factory=lambda: [
            "not the person", "face looks wrong", "hands or body wrong", "clothes or product wrong",
            "not what was asked for", "blurred or broken", "background or light wrong", "not suitable", "other",
        ],
    )  # fmt: skip
    serve: int = doc("report only: show the catalogue on this port of this machine until Ctrl-C; 0 = do not", 0)
    zip: bool = doc("report only: pack the gallery for sending, without the full pictures", False)
    zip_images: bool = doc("report only: with the full pictures in the packed gallery", False)
    presign_s: int = doc("report only: print a link to the packed gallery on S3, valid this long; 0 = do not", 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkConfig:
    """What jobs/benchmark.py measures: with a device the whole script, without one the job against its sampler."""

    pictures: int = doc("number of pictures, for the job and for the sampler alone", 64)
    min_seconds_per_picture: float = doc("steps are raised until one picture takes this long", 0.2)
    device: Literal["", "cpu", "cuda"] = doc(
        "run the whole script on this device, on random weights of its own: door, correctness, speed, job, tests/gpu",
        "",
    )
    size: Literal["tiny", "full"] = doc("size of those random weights; full is slow without a GPU", "tiny")
    blocks: list[str] = doc(
        "parts of the script to run", default_factory=lambda: ["door", "correctness", "speed", "job", "gpu_tests"]
    )
    budget_s: float = doc("time for all blocks together; what one block leaves goes to the next", 520.0)
    json: str = doc("file for the script's figures, replaced after each block", "output/benchmark.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsConfig:
    """What `weights convert` reads and writes."""

    source: str = doc("a .bin file, or the hub id of one in the local cache", "")
    target: str = doc("the .safetensors file to make", "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """All settings of a job."""

    manifest: str = doc("Parquet file or folder, CSV or JSONL; local path or s3://", "")
    output: str = doc("the catalogue: local folder or s3://bucket/prefix", "")
    recipe: str = doc("recipe for rows that name none", "")
    decisions: str = doc("decisions.csv, as the gallery exports it, for jobs/review.py", "")
    reference: str = doc("one photo: generate one picture without a manifest", "")
    prompt: str = doc("prompt for that one picture", "")
    recipes_dir: str = doc("folder with the recipe files; empty = configs/recipes", "")
    bases_dir: str = doc("folder with the base files, for recipes named <recipe>@<base>; empty = configs/bases", "")
    overrides: dict[str, Any] = doc(
        "changes to recipes by name, for example overrides.faceid-sd15.base.weights=… or overrides.<recipe>@<base>.batch_size=…",
        default_factory=dict,
    )
    base_overrides: dict[str, Any] = doc(
        "changes to base files by name, for every recipe on them, for example base_overrides.sd15-lcm.base.weights=…",
        default_factory=dict,
    )
    run: RunConfig = field(default_factory=RunConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    rerun: RerunConfig = field(default_factory=RerunConfig)
    review: ReviewConfig = field(default_factory=ReviewConfig)
    verify: VerifyConfig = field(default_factory=VerifyConfig)
    sources: SourcesConfig = field(default_factory=SourcesConfig)
    faces: FacesConfig = field(default_factory=FacesConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    texts: TextsConfig = field(default_factory=TextsConfig)
    planner: PlannerConfig = field(default_factory=PlannerConfig)
    images: ImagesConfig = field(default_factory=ImagesConfig)
    checks: ChecksConfig = field(default_factory=ChecksConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    gates: GateSettings = doc(
        "bounds of the checks, over the recipes' own, for example gates.face_similarity.reject=0.35; a picture beyond reject is held back",
        default_factory=dict,
    )
    notes: list[str] = doc("lines printed at the end of the job", default_factory=list)
