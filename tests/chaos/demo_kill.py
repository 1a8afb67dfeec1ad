"""`make demo-kill`: the demo's driver is killed half way, and the same command again ends the work.

Counts what came of it: pictures lost, made twice, and sampled again.
"""

import shutil
import sys
from collections import Counter
from pathlib import Path

from doubles.catalogue import ROOT, Catalogue

ASKED = 61
OUTPUT = ROOT / "output" / "demo-kill"


class Demo(Catalogue):
    """The demo in a folder of its own."""

    def words(self, *more):
        """The demo's own command; of the pictures that are made, a log is kept."""
        return [str(ROOT / "configs" / "demo.yaml"), f"output={self.output}", "run.id=demo-kill", *more]


def say(text: str) -> None:
    """Print it at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(asked: int = ASKED, *words: str) -> int:
    """Run, kill, run; print the account and return 0 if it is right."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    demo, log = Demo(OUTPUT, str(OUTPUT / "catalogue")), OUTPUT / "attempts"
    told = {"log": str(log)}
    say(f"the demo runs; its driver is killed when {asked // 2} of {asked} pictures are done")
    demo.kill_when(demo.start(*words, faults=told), published=asked // 2, timeout_s=1200)
    say(f"killed: {len(demo.ledger())} pictures are done. The same command again:")
    say(demo.run(*words, faults=told, timeout_s=1200))
    return account(demo, log, asked)


def account(demo: Demo, log: Path, asked: int) -> int:
    """Compare what was asked for with the ledger's rows and with what was sampled."""
    rows = Counter(row["key"] for row in demo.ledger())
    lost = asked - len(rows)
    twice = sum(count - 1 for count in rows.values())
    sampled = Counter(log.read_text().split())
    repeated = sum(count - 1 for count in sampled.values())
    say(f"{asked} pictures: {lost} lost, {twice} twice, {repeated} repeated")
    return 1 if lost or twice else 0


if __name__ == "__main__":
    sys.exit(main())
