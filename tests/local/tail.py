#!/usr/bin/env python3
"""Deliveries in the terminal as they come, until Ctrl-C: finds the delivery log, and hands over to the program in functions/tail.

    tail.py --environment prod [-- OPTIONS…]                of a deployment, as the state in infra/ says; or of DELIVERIES_URL, if that is
                                                            set. Signed with your own AWS credentials
    tail.py --stack .local/stack.json [-- OPTIONS…]         of a local stack that is up, with the operator's keys that stand there

OPTIONS: -- --help
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import infra
import machine
from terminal import ROOT, Failure, run_command, shown


def of_stack(path: Path) -> dict[str, str]:
    try:
        stack = json.loads(path.read_text())
    except FileNotFoundError:
        raise Failure(f"No stack is up: there is no {shown(path)}", "make up, or make run in another terminal") from None
    # Nothing of a session or a profile of somebody's real account may get in between.
    given = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    keys = {"AWS_ACCESS_KEY_ID": stack["accessKeyId"], "AWS_SECRET_ACCESS_KEY": stack["secretAccessKey"]}
    return {**given, **keys, "AWS_REGION": stack["region"], "DELIVERIES_URL": stack["deliveries"]}


def of_deployment(environment: str) -> dict[str, str]:
    if os.environ.get("DELIVERIES_URL"):
        return dict(os.environ)
    try:
        deployed = infra.outputs(environment)
    except Failure as failure:
        raise Failure(
            f"Where {environment} is deployed is not known here: {failure}",
            "DELIVERIES_URL=https://… make tail, where the state is not; of a local stack that is up: make tail STACK=.local/stack.json",
        ) from None
    return {**os.environ, "DELIVERIES_URL": deployed["urls"]["deliveries"]}


def build() -> Path:
    if subprocess.run(["cargo", "build", "--quiet", "--locked", "--package", "tail"], cwd=ROOT, stdin=subprocess.DEVNULL).returncode:
        raise Failure("cargo build failed")
    return machine.programs() / "tail"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", default="prod")
    parser.add_argument("--stack", type=Path, help="stack.json of a local stack")
    own, options = sys.argv[1:], []
    if "--" in own:
        options = own[own.index("--") + 1 :]
        own = own[: own.index("--")]
    arguments = parser.parse_args(own)
    program = build()
    # What asks for help, or says itself where, needs no state.
    says_where = any(option in ("--help", "-h") or option.startswith("--url") for option in options)
    if arguments.stack:
        environment = of_stack(arguments.stack)
    else:
        environment = dict(os.environ) if says_where else of_deployment(arguments.environment)
    # In this one's place, so that Ctrl-C reaches it alone.
    os.execve(program, ["tail", *options], environment)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    run_command(main)
