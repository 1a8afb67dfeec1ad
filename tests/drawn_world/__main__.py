"""`python -m drawn_world <folder> [stage…]`: trains what is missing in <folder>, goes on where it was stopped."""

import argparse
import hashlib
import logging
import time
from pathlib import Path

import cv2
import torch

from drawn_world.plan import PLANS
from drawn_world.stages import STAGES
from drawn_world.workspace import PausedError, Workspace

_log = logging.getLogger(__name__)


def code_digest() -> str:
    """Return 12 hex digits over the trainer's code as the run found it."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def main() -> int:
    """Run the stages asked for, all of them by default, in their order; 0, or 75 when the time was over before."""
    parser = argparse.ArgumentParser(prog="python -m drawn_world", description=__doc__)
    parser.add_argument("folder", type=Path, help="for data (2 GB), checkpoints, weights and the journal")
    parser.add_argument("stages", nargs="*", metavar="stage", help=f"of {', '.join(STAGES)}; default: all")
    parser.add_argument("--plan", choices=PLANS, default="cpu")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2, help="that draw at the same time")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so many, all saved")
    args = parser.parse_args()
    unknown = [name for name in args.stages if name not in STAGES]
    if unknown:
        parser.error(f"no stage is called {unknown[0]}; there are {', '.join(STAGES)}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    args.folder.mkdir(parents=True, exist_ok=True)
    space = Workspace(
        folder=args.folder.resolve(),
        plan=PLANS[args.plan],
        device=torch.device(args.device),
        processes=args.processes,
        deadline=time.monotonic() + 60 * args.minutes,
    )
    space.note("run", stages=args.stages or [*STAGES], threads=args.threads, device=args.device, code=code_digest())
    try:
        for name in args.stages or STAGES:
            space.check_time()
            STAGES[name](space)
    except PausedError:
        _log.info("the time is over; the same command goes on")
        return 75
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
