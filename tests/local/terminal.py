"""What the scripts here say on the terminal, and how they fail: terse, with a hint, never with a traceback for what a person can mend."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Failure(Exception):
    """What went wrong, and what helps."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def say(text: str) -> None:
    print(text, flush=True)


def shown(path: Path) -> str:
    """A path as a person at the repository's root would type it."""
    try:
        return str(path.resolve().relative_to(ROOT))
    except ValueError:
        return str(path)


@contextlib.contextmanager
def step(title: str, progress: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Says what is being done, every ten seconds how far it got, and at the end how long it took."""
    say(f"· {title}")
    begun = time.monotonic()
    done = threading.Event()

    def report() -> None:
        while not done.wait(10):
            say("    " + " ".join(part for part in (f"{time.monotonic() - begun:.0f} s", progress()) if part))

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        done.set()
        reporter.join()
    if (took := time.monotonic() - begun) >= 2:
        say(f"    took {took:.0f} s")


def tail(path: Path, lines: int = 25) -> str:
    """The end of a log, for an error message."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def run_command(command: Callable[[], int | None]) -> None:
    """The rim of every script: exit code, errors, Ctrl-C. A SIGTERM is a Ctrl-C, so that what was started is ended."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    if sys.version_info < (3, 10):
        sys.exit("error: Python 3.10 or newer is needed, this is " + sys.version.split()[0])
    try:
        sys.exit(command() or 0)
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        if failure.hint:
            print(f"hint: {failure.hint}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
