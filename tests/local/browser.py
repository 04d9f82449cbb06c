#!/usr/bin/env python3
"""The console in a real Chromium.

    browser.py test [--dir DIR] [-- PYTEST OPTIONS…]   the tests of tests/browser, on a local stack of their own; pictures of each page
                                                       are then in .local/screenshots
    browser.py screenshots                             puts the best of those into functions/console/screenshots, for the README

The browser is the machine's own: the one that CHROMIUM names, or the first of chromium, chromium-browser, google-chrome on the PATH.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import requirements
from terminal import ROOT, Failure, run_command, say, shown

TESTS = ROOT / "tests" / "browser"
NAMES = ["chromium", "chromium-browser", "google-chrome"]
HINT = (
    "On Debian and Ubuntu: apt install chromium. On macOS with Chrome: CHROMIUM='/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'. "
    "Elsewhere: CHROMIUM=/path/to/it"
)
PICTURES = ROOT / ".local" / "screenshots"
SHOWN = ROOT / "functions" / "console" / "screenshots"
BEST = ["home", "integration", "stack-form", "deliveries", "delivery", "deliveries-dark"]
MOST_BYTES = 250_000


def chromium() -> str:
    """The browser's path. It has been started once, since a snap's or a distribution's stand-in can be on the PATH without it."""
    named = os.environ.get("CHROMIUM")
    found = next((path for path in map(shutil.which, [named] if named else NAMES) if path), None)
    if found is None:
        raise Failure(f"CHROMIUM is {named}, which is no program" if named else "There is no Chromium on the PATH", HINT)
    try:
        started = subprocess.run([found, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"{found} does not start: {error}", HINT) from None
    if started.returncode:
        raise Failure(f"{found} does not start: {started.stderr.strip()}", HINT)
    say(f"{started.stdout.strip()}, {found}")
    return found


def test(folder: Path, options: list[str]) -> None:
    browser = chromium()
    programs = requirements.ensure(requirements.BASE, TESTS / "requirements-browser.txt")
    stack = [sys.executable, str(ROOT / "tests" / "local" / "stack.py"), "with", "--dir", str(folder)]
    # In this one's place, so that Ctrl-C reaches the stack's script alone, which ends what it started.
    os.execve(
        sys.executable,
        [*stack, "--", str(programs / "python"), "-m", "pytest", "--config-file", str(TESTS / "pytest.ini"), str(TESTS), *options],
        {**os.environ, "CHROMIUM": browser},
    )


def screenshots() -> None:
    pictures = [PICTURES / f"{name}.png" for name in BEST]
    if missing := [shown(it) for it in pictures if not it.exists()]:
        raise Failure(f"Not there: {', '.join(missing)}", "make test-browser")
    if large := [shown(it) for it in pictures if it.stat().st_size > MOST_BYTES]:
        raise Failure(f"Larger than {MOST_BYTES} bytes, too much for a README: {', '.join(large)}")
    SHOWN.mkdir(exist_ok=True)
    for picture in pictures:
        shutil.copyfile(picture, SHOWN / picture.name)
        say(f"  {shown(SHOWN / picture.name)}  {picture.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["test", "screenshots"])
    parser.add_argument("--dir", type=Path, default=ROOT / ".local" / "browser", help="the stack's folder (.local/browser)")
    own, options = sys.argv[1:], []
    if "--" in own:
        options = own[own.index("--") + 1 :]
        own = own[: own.index("--")]
    arguments = parser.parse_args(own)
    if arguments.command == "test":
        test(arguments.dir, options)
    else:
        screenshots()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    run_command(main)
