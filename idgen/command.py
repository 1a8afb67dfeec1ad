"""What every job's entry point shares: `--help`, the configuration, errors as one line and an exit code."""

import contextlib
import logging
import os
import select
import sys
import traceback
from collections.abc import Callable, Collection

from idgen.config import Config
from idgen.errors import Exit, RunError
from idgen.settings import help_lines, load_config
from idgen.stores.protocol import StoreError

HELP = ("-h", "--help", "--help-all")


def main(
    about: str, job: Callable[[Config], int], words: list[str] | None = None, settings: Collection[str] = ()
) -> int:
    """Run `job` with the configuration that the command line describes; return the exit code.

    `about` is what --help prints, before the keys of `settings` with default and meaning (keys or names of sections;
    none = all); --help-all prints every key.
    """
    given = sys.argv[1:] if words is None else words
    return ending_unread(lambda: _main(about, job, given, settings))


def ending_unread(call: Callable[[], int]) -> int:
    """Return what `call` returns; it ends silently when nobody reads its output any more (`… | head`)."""
    try:
        code = call()
        sys.stdout.flush()
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):  # Python writes what is left when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return Exit.READER_GONE
    return code


def _main(about: str, job: Callable[[Config], int], words: list[str], settings: Collection[str]) -> int:
    """As `main`; BrokenPipeError when nobody reads what is printed."""
    if any(word in HELP for word in words):
        shown = () if "--help-all" in words else settings
        print(about.strip(), "\n\nsettings (key=value; they win over YAML files):")
        print("\n".join(help_lines(shown)))
        if shown:
            print("\nEvery setting: --help-all")
        return Exit.OK
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        return job(load_config(words))
    except RunError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit_code
    except StoreError as error:
        print(f"error: the store: {error}; check its address, the credentials and the network", file=sys.stderr)
        return Exit.UNAVAILABLE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _unread():
            raise
        traceback.print_exc()
        print("error: this is a bug in idgen; the traceback above shows where", file=sys.stderr)
        return Exit.BUG


def _unread() -> bool:
    """Whether the reader of our output has gone; the broken pipe may also be another one."""
    watch = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # no file: a test's
            watch.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in watch.poll(0))
