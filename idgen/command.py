"""What every job's entry point shares: `--help`, the configuration, errors as one line and an exit code."""

import contextlib
import logging
import os
import select
import sys
import traceback
from collections.abc import Callable

from idgen.config import Config
from idgen.errors import Exit, RunError
from idgen.settings import help_lines, load_config
from idgen.stores.protocol import StoreError


def main(about: str, job: Callable[[Config], int], words: list[str] | None = None) -> int:
    """Run `job` with the configuration that the command line describes; return the exit code.

    `about` is the job's docstring, printed by --help before every key with its default and meaning. A reader of what
    is printed may go away (`… | head`): the job ends there, without a word.
    """
    try:
        code = _main(about, job, sys.argv[1:] if words is None else words)
        sys.stdout.flush()
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):  # Python writes what is left when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return Exit.READER_GONE
    return code


def _main(about: str, job: Callable[[Config], int], words: list[str]) -> int:
    """As `main`; BrokenPipeError when nobody reads what is printed."""
    if any(word in ("-h", "--help") for word in words):
        print(about.strip(), "\n\nsettings (key=value; they win over YAML files):")
        print("\n".join(help_lines()))
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
        print("error: this is a bug in idgen; the traceback above says where", file=sys.stderr)
        return Exit.BUG


def _unread() -> bool:
    """Whether the reader of what is printed has gone; a broken pipe may be another one."""
    watch = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # no file: a test's
            watch.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in watch.poll(0))
