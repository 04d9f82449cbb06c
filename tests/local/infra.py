#!/usr/bin/env python3
"""infra/ without a local stack.

    infra.py check                                          formatting, validity, `terraform test`, of the examples too; offline, nothing is left in infra/
    infra.py deploy  [--environment prod] [--arch arm64]    to the AWS account of your credentials; Terraform shows its plan and asks
    infra.py destroy [--environment prod]                   refuses while integrations exist
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import package
import requirements
import terraform
from terminal import ROOT, Failure, run_command, say, step

LOGS = ROOT / ".local" / "logs"


def check() -> None:
    """On copies, so that what Terraform leaves behind does not lie in infra/."""
    environment = terraform.local_environment(AWS_REGION="eu-west-1")
    terraform.Terraform(terraform.INFRA, environment, LOGS / "fmt.log").check("fmt", "-check", "-recursive", "-diff")
    for source in [terraform.INFRA, *sorted(it for it in (terraform.INFRA / "examples").iterdir() if it.is_dir())]:
        say(f"{source.relative_to(ROOT)}:")
        copy = ROOT / ".local" / "check" / source.name
        terraform.copy_configuration(copy, source, tests=True)
        tool = terraform.Terraform(copy, environment, LOGS / "check.log")
        tool.init("-backend=false")
        with step("terraform validate"):
            tool.check("validate")
        with step("terraform test"):
            tool.check("test")


def deploy(environment: str, arch: str) -> int:
    refuse_local()
    package.package(arch)
    tool = open_deployment()
    tool.check("workspace", "select", "-or-create", environment)
    if code := tool.interactive("apply", *variables(environment), f"-var=architecture={arch}", f"-var=package_dir=../target/package/{arch}"):
        return code
    outputs = tool.outputs()
    urls = outputs["urls"]
    say("\nDeployed. For the commands of infra/README.md, First integration:")
    say(f"  export AWS_REGION={outputs['region']}")
    for name, url in urls.items():
        say(f"  {name.upper()}={url}")
    return 0


def destroy(environment: str) -> int:
    refuse_local()
    tool = open_deployment()
    deployed = outputs_of(tool, environment)
    left = integrations(deployed)
    if left:
        raise Failure(
            f"These integrations still exist: {', '.join(left)}",
            "Unlink each first (DELETE <unlink URL>/integrations/<name>), so that Azure DevOps is told and their secrets go",
        )
    if deployed["deletion_protection"]:
        raise Failure(
            "The tables are protected from deletion",
            f"Set deletion_protection = false in infra/environments/{environment}.tfvars, make deploy, and try again. All deliveries will be gone",
        )
    # Any zips do: they are looked at, not used.
    return tool.interactive("destroy", *variables(environment), "-var=package_dir=tests/packages")


def outputs(environment: str) -> dict:
    """Of what is deployed as that."""
    return outputs_of(open_deployment(), environment)


def outputs_of(tool: terraform.Terraform, environment: str) -> dict:
    tool.check("workspace", "select", environment)
    found = tool.outputs()
    if not found:
        raise Failure(f"Nothing is deployed as {environment}")
    return found


def open_deployment() -> terraform.Terraform:
    """infra/ itself. Each environment's state is a workspace of its name."""
    tool = terraform.Terraform(terraform.INFRA, terraform.environment(), LOGS / "deploy.log")
    tool.init()
    return tool


def variables(environment: str) -> list[str]:
    file = Path("environments") / f"{environment}.tfvars"
    given = [f"-var-file={file}"] if (terraform.INFRA / file).exists() else []
    return [*given, f"-var=environment={environment}"]


def integrations(outputs: dict) -> list[str]:
    python = requirements.ensure(requirements.BASE) / "python"
    command = [str(python), str(Path(__file__).with_name("integrations_left.py")), outputs["region"], outputs["tables"]["integrations"]]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        raise Failure(f"Could not look for integrations:\n{answer.stderr.strip().splitlines()[-1]}")
    return answer.stdout.split()


def refuse_local() -> None:
    """A deployment that went to an emulator would look like one that went to AWS."""
    for name in os.environ:
        if name.startswith("AWS_ENDPOINT_URL"):
            raise Failure(f"{name} is set: this is for a real AWS account", f"unset {name}; for the local AWS there is make up")


def main() -> int | None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["check", "deploy", "destroy"])
    parser.add_argument("--environment", default="prod")
    parser.add_argument("--arch", choices=sorted(package.TARGETS), default="arm64")
    arguments = parser.parse_args()
    if arguments.command == "check":
        return check()
    if arguments.command == "deploy":
        return deploy(arguments.environment, arguments.arch)
    return destroy(arguments.environment)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    run_command(main)
