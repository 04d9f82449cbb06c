"""What the programs for a person's machine (functions/tail, functions/console) are given: where the functions are, and whose keys sign."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import infra
import machine
from terminal import ROOT, Failure, shown


def variable(function: str) -> str:
    """What says where a function is."""
    return f"{function.upper()}_URL"


def keys_of(stack: dict) -> dict[str, str]:
    """The operator's, as stack.json has them."""
    return {"AWS_ACCESS_KEY_ID": stack["accessKeyId"], "AWS_SECRET_ACCESS_KEY": stack["secretAccessKey"], "AWS_REGION": stack["region"]}


def urls_of(stack: dict, functions: list[str]) -> dict[str, str]:
    return {variable(function): stack[function] for function in functions}


def read_stack(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise Failure(f"No stack is up: there is no {shown(path)}", "make up, or make run in another terminal") from None


def of_stack(path: Path, functions: list[str]) -> dict[str, str]:
    """The environment for a local stack."""
    stack = read_stack(path)
    # Nothing of a session or a profile of somebody's real account may get in between.
    given = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**given, **keys_of(stack), **urls_of(stack, functions)}


def of_deployment(environment: str, functions: list[str], program: str) -> dict[str, str]:
    """The environment for what is deployed, with whatever AWS credentials this one has. What it says itself goes before the state."""
    wanted = [function for function in functions if not os.environ.get(variable(function))]
    if not wanted:
        return dict(os.environ)
    try:
        urls = infra.outputs(environment)["urls"]
    except Failure as failure:
        given = " ".join(f"{variable(function)}=https://…" for function in functions)
        raise Failure(
            f"Where {environment} is deployed is not known here: {failure}",
            f"{given} make {program}, where the state is not; of a local stack that is up: make {program} STACK=.local/stack.json",
        ) from None
    return {**os.environ, **{variable(function): urls[function] for function in wanted}}


def build(package: str) -> Path:
    if subprocess.run(["cargo", "build", "--quiet", "--locked", "--package", package], cwd=ROOT, stdin=subprocess.DEVNULL).returncode:
        raise Failure("cargo build failed")
    return machine.programs() / package


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """A script's own arguments, and behind `--` those of its program."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]
