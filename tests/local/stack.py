#!/usr/bin/env python3
"""Stackhook on this machine: the local AWS, the Azure DevOps simulator, infra/ applied to them, and the console.

    stack.py up [--dir DIR]     starts it in the background; DIR/stack.json then has its addresses and keys.
                                On a stack that is up: builds and applies what has changed (the simulator stays as it is)
    stack.py down [--dir DIR]   ends it; nothing of it is kept but the logs
    stack.py run [--dir DIR]    up, then waits for Ctrl-C, then down
    stack.py plan [--dir DIR]   fails unless a plan for the stack that is up is empty: then what it has is what infra/ says
    stack.py with [--dir DIR] -- COMMAND…   up, the command with STACKHOOK_STACK=DIR/stack.json and
                                STACKHOOK_PROGRAMS, the folder of what was built, then down whatever became of it. Without the console

Several stacks, each in a folder of its own, can be up at once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import machine
from one_stack import FUNCTIONS, Stack
from terminal import ROOT, run_command, say, shown


def print_addresses(stack: Stack) -> None:
    description = json.loads(stack.json.read_text())
    say("")
    for name in FUNCTIONS:
        if name in description:  # has a URL
            say(f"  {name:<13}{description[name]}")
    say(f"  {'Azure DevOps':<13}{description['azureDevOps']['organizationUrl']}   (simulated)")
    if link := stack.link():
        ready = shown(stack.folder / "console.json")
        if sys.stdout.isatty():
            say(f"\n  {'Console':<13}{link}   (works once; then the next one stands in {ready})")
        else:
            # A link is a key: whatever this is redirected to, others may read it.
            say(f"\n  {'Console':<13}its link stands in {ready}")
    say(f"\n  Keys, and a personal access token: {shown(stack.json)}. How to call it: tests/README.md")


def wait(stack: Stack) -> None:
    """Until Ctrl-C, or until somebody else ends it. Tells a terminal each further link of the console."""
    say("\n  Ctrl-C ends it.")
    link = stack.link()
    try:
        while stack.is_up():
            time.sleep(1)
            if sys.stdout.isatty() and (newest := stack.link()) and newest != link:
                say(f"  The link was used. The next one: {newest}")
                link = newest
        say("It was ended by another command, or by itself; logs are in " + shown(stack.folder / "logs"))
    except KeyboardInterrupt:
        say("")


def run_with(stack: Stack, command: list[str]) -> int:
    """The command's exit code; a Ctrl-C reaches the command by itself, and is waited out."""
    process = subprocess.Popen(command, env={**os.environ, "STACKHOOK_STACK": str(stack.json), "STACKHOOK_PROGRAMS": str(machine.programs())})
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()


def main() -> int | None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "down", "run", "plan", "with"])
    parser.add_argument("--dir", type=Path, default=ROOT / ".local", help="the stack's folder (.local)")
    parser.add_argument("--built", type=Path, help="folder of binaries to take instead of building them")
    own, rest = sys.argv[1:], []
    if "--" in own:
        rest = own[own.index("--") + 1 :]
        own = own[: own.index("--")]
    arguments = parser.parse_args(own)
    if (arguments.command == "with") != bool(rest):
        parser.error("`with` wants a command behind --, the others none")
    stack = Stack(arguments.dir)

    if arguments.command == "down":
        stack.down()
        return None
    if arguments.command == "plan":
        stack.plan()
        return None
    begun = time.monotonic()
    # Commands, tests among them, start one of their own if they need it.
    stack.up(arguments.built.resolve() if arguments.built else None, console=arguments.command != "with")
    say(f"Ready after {time.monotonic() - begun:.0f} s.")
    if arguments.command == "up":
        print_addresses(stack)
        return None
    try:
        if arguments.command == "with":
            return run_with(stack, rest)
        print_addresses(stack)
        wait(stack)
        return None
    finally:
        stack.down()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    run_command(main)
