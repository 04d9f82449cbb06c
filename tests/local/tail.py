#!/usr/bin/env python3
"""Deliveries in the terminal as they come, until Ctrl-C: finds the delivery log, and hands over to the program in functions/tail.

    tail.py --environment prod [-- OPTIONS…]                of a deployment, as the state in infra/ says; or of DELIVERIES_URL, if that is
                                                            set. Signed with your own AWS credentials
    tail.py --stack .local/stack.json [-- OPTIONS…]         of a local stack that is up, with the operator's keys that stand there

OPTIONS: -- --help
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import person
from terminal import run_command

FUNCTIONS = ["deliveries"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", default="prod")
    parser.add_argument("--stack", type=Path, help="stack.json of a local stack")
    own, options = person.split(sys.argv[1:])
    arguments = parser.parse_args(own)
    program = person.build("tail")
    # What asks for help, or says itself where, needs no state.
    says_where = any(option in ("--help", "-h") or option.startswith("--url") for option in options)
    if arguments.stack:
        environment = person.of_stack(arguments.stack, FUNCTIONS)
    else:
        environment = dict(os.environ) if says_where else person.of_deployment(arguments.environment, FUNCTIONS, "tail")
    # In this one's place, so that Ctrl-C reaches it alone.
    os.execve(program, ["tail", *options], environment)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    run_command(main)
