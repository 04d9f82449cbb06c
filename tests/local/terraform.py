"""Runs Terraform, and finds its provider where the registry cannot be reached (design: TF_PLUGIN_DIR or an unpacked mirror)."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from terminal import ROOT, Failure, step, tail

INFRA = ROOT / "infra"
CACHE = ROOT / ".local" / "terraform-providers"
PROVIDER = Path("registry.terraform.io/hashicorp/aws")


class LostAnswer(Failure):
    """Something was made, but Terraform was not told so: asked again, it finds it there already, and waits in vain."""


class Terraform:
    """Terraform in one folder, with one environment. What it prints goes to a log, and to the terminal only if it fails."""

    def __init__(self, folder: Path, environment: dict[str, str], log: Path) -> None:
        if shutil.which("terraform") is None:
            raise Failure("terraform is not installed", "https://developer.hashicorp.com/terraform/install (1.11 or newer)")
        self._folder = folder
        self._environment = environment
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)

    def init(self, *arguments: str) -> None:
        """From the registry, else from a mirror. One at a time, since all stacks share one cache of downloads."""
        CACHE.mkdir(parents=True, exist_ok=True)
        command = ["init", "-input=false", "-no-color", *arguments]
        given = os.environ.get("TF_PLUGIN_DIR")
        with open(CACHE / ".lock", "w") as lock, step("terraform init"):
            fcntl.flock(lock, fcntl.LOCK_EX)
            # A lock file would be of whatever was found last time.
            (self._folder / ".terraform.lock.hcl").unlink(missing_ok=True)
            if given:
                self._quiet([*command, f"-plugin-dir={given}"], "terraform init failed with TF_PLUGIN_DIR")
                return
            cached = {"TF_PLUGIN_CACHE_DIR": str(CACHE), "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1"}
            if self._logged(command, {**cached, **self._environment}) == 0:
                return
            mirror = next(_mirrors(), None)
            if mirror is None:
                raise Failure(
                    f"terraform init failed:\n{tail(self._log)}",
                    f"Without the registry, TF_PLUGIN_DIR names an unpacked provider mirror: a folder that holds {PROVIDER}",
                )
            self._quiet([*command, f"-plugin-dir={mirror}"], f"terraform init failed with the mirror {mirror}")

    def apply(self, patience: float) -> None:
        """Without asking, and for so many seconds at the most."""
        with step("terraform apply", self._done):
            try:
                self._quiet(["apply", "-input=false", "-no-color", "-auto-approve"], "terraform apply failed", patience)
            except subprocess.TimeoutExpired:
                raise LostAnswer(f"terraform apply has not ended in {patience:.0f} s (log: {self._log}):\n{tail(self._log)}") from None
            except Failure as failure:
                raise LostAnswer(str(failure)) if "already exists" in str(failure) else failure from None

    def check(self, *command: str) -> None:
        self._quiet([*command, "-no-color"], f"terraform {command[0]} failed")

    def interactive(self, *command: str) -> int:
        """With its output on the terminal, and its questions."""
        return subprocess.run(["terraform", *command], cwd=self._folder, env=self._environment).returncode

    def outputs(self) -> dict:
        answer = subprocess.run(
            ["terraform", "output", "-json"], cwd=self._folder, env=self._environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if answer.returncode:
            raise Failure(f"terraform output failed:\n{answer.stderr.strip()}")
        return {name: output["value"] for name, output in json.loads(answer.stdout).items()}

    def _quiet(self, command: list[str], message: str, patience: float | None = None) -> None:
        if self._logged(command, self._environment, patience):
            raise Failure(f"{message} (whole log: {self._log}):\n{tail(self._log, 40)}")

    def _logged(self, command: list[str], environment: dict[str, str], patience: float | None = None) -> int:
        """In a session of its own, so that one that is interrupted can be ended together with its provider."""
        with open(self._log, "w") as log:
            process = subprocess.Popen(
                ["terraform", *command],
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                return process.wait(patience)
            except BaseException:
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise

    def _done(self) -> str:
        finished = len(re.findall(r"(?:Creation|Modifications|Destruction) complete", self._log.read_text(errors="replace")))
        return f"{finished} resources done"


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without a CLI configuration that is not there, which Terraform would complain about."""
    inherited = dict(os.environ)
    configuration = inherited.get("TF_CLI_CONFIG_FILE")
    if configuration and not Path(configuration).exists():
        del inherited["TF_CLI_CONFIG_FILE"]
    return {**inherited, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1", **settings}


def local_environment(**settings: str) -> dict[str, str]:
    """The same without anything that could lead to a real account, or carry another deployment's settings."""
    foreign = re.compile(r"AWS_|TF_VAR_|TF_CLI_ARGS|TF_DATA_DIR$|TF_WORKSPACE$")
    return {**{name: value for name, value in environment().items() if not foreign.match(name)}, **settings}


def copy_configuration(target: Path, source: Path = INFRA, tests: bool = False) -> None:
    """infra/ (or an example) as it is now, to where Terraform may leave its folders; a state that is there stays."""
    target.mkdir(parents=True, exist_ok=True)
    folders = ["modules", "scripts", *(["tests"] if tests else [])]
    for old in [*target.glob("*.tf"), *(target / folder for folder in ("modules", "scripts", "tests"))]:
        shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
    for file in source.glob("*.tf"):
        if file.name != "backend.tf":  # a deployer's own, for the real state
            shutil.copy(file, target)
    for folder in folders:
        if (source / folder).is_dir():
            shutil.copytree(source / folder, target / folder, ignore=shutil.ignore_patterns(".terraform*"))


def _mirrors():
    fixed = [Path.home() / ".terraform.d/plugins", Path("/usr/local/share/terraform/plugins"), Path("/usr/share/terraform/plugins")]
    opt = Path("/opt")
    for folder in [*fixed, *(sorted(opt.iterdir()) if opt.is_dir() else [])]:
        if (folder / PROVIDER).is_dir():
            yield folder
