#!/usr/bin/env python3
"""Stackhook's page on this machine, until Ctrl-C: finds the functions, and hands over to the program in functions/console.

    console.py --environment prod [-- OPTIONS…]             of a deployment, as the state in infra/ says; or of SETUP_URL, STACKS_URL, RUNS_URL,
                                                            DELIVERIES_URL and UNLINK_URL, as far as they are set. Signed with your own AWS
                                                            credentials
    console.py --stack .local/stack.json [-- OPTIONS…]      of a local stack that is up, with the operator's keys that stand there

OPTIONS: -- --help
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import person
from one_stack import PAGE_FUNCTIONS
from terminal import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", default="prod")
    parser.add_argument("--stack", type=Path, help="stack.json of a local stack")
    own, options = person.split(sys.argv[1:])
    arguments = parser.parse_args(own)
    program = person.build("console")
    name = arguments.environment
    if arguments.stack:
        environment = person.of_stack(arguments.stack, PAGE_FUNCTIONS)
        name = person.read_stack(arguments.stack)["environment"]
    elif any(option in ("--help", "-h") for option in options):
        environment = dict(os.environ)
    else:
        environment = person.of_deployment(name, PAGE_FUNCTIONS, "console")
    # In this one's place, so that Ctrl-C reaches it alone.
    os.execve(program, ["console", "--environment", name, *options], environment)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    run_command(main)
