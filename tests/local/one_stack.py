"""One local stack in one folder: started, applied, described, ended."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import machine
import person
import requirements
import terraform
import zips
from processes import Processes
from terminal import Failure, say, shown, step, tail

REGION = "eu-west-1"
ENVIRONMENT = "local"
LOG_LEVEL = "DEBUG"
FUNCTIONS = ["announce", "deliveries", "dispatch", "reconcile", "report", "runs", "setup", "stacks", "unlink", "webhook"]
PAGE_FUNCTIONS = ["deliveries", "runs", "setup", "stacks", "unlink"]  # those that the console's page calls
APPLY_PATIENCE = 240.0  # seconds; it takes 60: the provider makes one function after the other, and looks at each for 5 s
ROOT_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


class Stack:
    """What is in its folder says what it is; an object of this class holds nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.json = self.folder / "stack.json"
        self._logs = self.folder / "logs"
        self._packages = self.folder / "package"
        self._simulator_ready = self.folder / "simulator.json"
        self._console_ready = self.folder / "console.json"
        self._address = self.folder / "aws.url"
        self._processes = Processes(self.folder / "processes.json")

    def up(self, built: Path | None, console: bool) -> None:
        """Everything that is not there yet, with the console or without; what it started it ends again if a later step fails."""
        with self._locked():
            was_up = self.is_up()
            if was_up:
                say(f"The stack in {shown(self.folder)} is up; what has changed is built and applied.")
            try:
                self._up(built, was_up, console)
            except BaseException:
                if not was_up:
                    self._end()
                raise

    def down(self) -> None:
        with self._locked():
            was_up = self._end()
        say(f"The stack in {shown(self.folder)} is down." if was_up else f"No stack was up in {shown(self.folder)}.")

    def plan(self) -> None:
        """Changes nothing."""
        if not self.is_up():
            raise Failure(f"No stack is up in {shown(self.folder)}", "make up")
        with step("terraform plan"):
            self._terraform().check("plan", "-input=false", "-detailed-exitcode")
        say("The plan is empty.")

    def link(self) -> str | None:
        """The console's newest link, which works once."""
        try:
            return json.loads(self._console_ready.read_text())["link"]
        except FileNotFoundError:
            return None

    def is_up(self) -> bool:
        return self._processes.alive("ministack") and self._processes.alive("simulator")

    def _up(self, built: Path | None, was_up: bool, console: bool) -> None:
        programs = requirements.ensure(requirements.BASE)
        binaries = built or machine.build()
        with step("zips the functions"):
            for function in FUNCTIONS:
                zips.write(binaries / function, self._packages / f"{function}.zip", level=1)
        if not was_up:
            self._end()
            self._start_simulator(binaries / "simulator")
            self._start_ministack(programs / "ministack")
        try:
            outputs = self._apply()
        except terraform.LostAnswer as failure:
            if was_up:
                raise
            # Seen once in some thirty applies. Nothing is there yet that could be lost.
            say(f"{failure}\nThe local AWS lost an answer: once more, on a new one.")
            self._processes.stop("ministack")
            self._forget()
            self._start_ministack(programs / "ministack")
            outputs = self._apply()
        description = self._description(outputs, programs / "python")
        # The keys are new ones each time.
        self._stop_console()
        if console:
            description["console"] = self._start_console(binaries / "console", description)
        self._write(description)

    def _start_simulator(self, binary: Path) -> None:
        with step("starts the simulator of Azure DevOps"):
            self._simulator_ready.unlink(missing_ok=True)
            log = self._logs / "simulator.log"
            environment = {name: os.environ[name] for name in ("HOME", "PATH", "RUST_LOG", "RUST_BACKTRACE") if name in os.environ}
            self._processes.start("simulator", [str(binary), "--port", "0", "--ready-file", str(self._simulator_ready)], environment, log)
            self._wait_for("simulator", log, lambda: self._simulator_ready.exists() and bool(json.loads(self._simulator_ready.read_text())))

    def _start_ministack(self, program: Path) -> None:
        with step("starts the local AWS"):
            address = f"http://127.0.0.1:{machine.free_port()}"
            # What stands here is all that the functions inherit of the environment, so it is nothing of this machine's.
            # AWS_ENDPOINT_URL is the functions': without it their SDKs would call the real AWS.
            environment = {
                "HOME": str(self._fresh("home")),
                "TMPDIR": str(self._fresh("tmp")),
                "PATH": "/usr/bin:/bin",
                "BIND_HOST": "127.0.0.1",  # its default is open to the network
                "GATEWAY_PORT": address.rpartition(":")[2],
                "MINISTACK_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ENDPOINT_URL": address,
                "AUTH": "true",
                "IOT_MTLS_ENABLED": "0",
                # Lambda sets these two from the function's logging_config; ministack does not.
                "AWS_LAMBDA_LOG_FORMAT": "JSON",
                "AWS_LAMBDA_LOG_LEVEL": LOG_LEVEL,
            }
            log = self._logs / "ministack.log"
            self._processes.start("ministack", [str(program)], environment, log)
            self._wait_for("ministack", log, lambda: machine.answers(f"{address}/_ministack/health"))
            self._address.write_text(address)

    def _start_console(self, binary: Path, description: dict) -> str:
        """Its address. As the operator of this stack, whoever is at this machine: nothing of theirs gets in between."""
        with step("starts the console"):
            environment = {
                "PATH": "/usr/bin:/bin",
                "AWS_EC2_METADATA_DISABLED": "true",
                **person.keys_of(description),
                **person.urls_of(description, PAGE_FUNCTIONS),
            }
            # Its output goes to a log: the link stands in the ready file alone.
            command = [str(binary), "--port", "0", "--environment", description["environment"], "--ready-file", str(self._console_ready)]
            log = self._logs / "console.log"
            self._processes.start("console", command, environment, log)
            self._wait_for("console", log, lambda: bool(self.link()))
            return json.loads(self._console_ready.read_text())["url"]

    def _stop_console(self) -> None:
        self._processes.stop("console")
        self._console_ready.unlink(missing_ok=True)

    def _apply(self) -> dict:
        folder = self.folder / "infra"
        terraform.copy_configuration(folder)
        tool = self._terraform()
        # Terraform must be told again when a module or the provider changes; it is quick to tell only if nothing did.
        stamp = folder / "initialised"
        configuration = "".join(file.read_text() for file in sorted(folder.glob("*.tf")))
        digest = hashlib.sha256(configuration.encode()).hexdigest()
        if not stamp.exists() or stamp.read_text() != digest:
            tool.init()
            stamp.write_text(digest)
        tool.apply(APPLY_PATIENCE)
        return tool.outputs()

    def _terraform(self) -> terraform.Terraform:
        """For this stack's copy of infra/ and its state."""
        endpoint = self._address.read_text()
        settings = {
            "architecture": machine.host_architecture(),
            "azure_devops_url": json.loads(self._simulator_ready.read_text())["url"],
            "deletion_protection": "false",
            "environment": ENVIRONMENT,
            "in_flight_seconds": "2",  # the demo shows a lost push found again, and is not to wait five minutes for it
            "integration_cache_seconds": "5",  # a journey shows what becomes of an unlinked integration, and is not to wait a minute for it
            "local_endpoint": endpoint,
            "log_level": LOG_LEVEL,
            "package_dir": str(self._packages),
        }
        variables = {f"TF_VAR_{name}": value for name, value in settings.items()}
        environment = terraform.local_environment(AWS_ENDPOINT_URL=endpoint, AWS_REGION=REGION, **ROOT_KEYS, **variables)
        return terraform.Terraform(self.folder / "infra", environment, self._logs / "terraform.log")

    def _description(self, outputs: dict, python: Path) -> dict:
        """What stack.json says. Its keys are an operator's; the root's, for tests that look behind the functions, stand apart."""
        endpoint = self._address.read_text()
        made = subprocess.run(
            [str(python), str(Path(__file__).with_name("iam_user.py")), *(f"{name}={outputs[f'{name}_policy_arn']}" for name in ("operator", "executor"))],
            env={"AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": REGION, **ROOT_KEYS},
            capture_output=True,
            text=True,
        )
        if made.returncode:
            raise Failure(f"The callers' keys could not be made:\n{made.stderr.strip()}")
        callers = json.loads(made.stdout)
        return {
            "region": REGION,
            **callers["operator"],
            "executor": callers["executor"],
            **{function: f"{endpoint}/_aws/lambda-url/{id}" for function, id in sorted(outputs["url_ids"].items())},
            "azureDevOps": json.loads(self._simulator_ready.read_text()),
            "endpointUrl": endpoint,
            "admin": {"accessKeyId": ROOT_KEYS["AWS_ACCESS_KEY_ID"], "secretAccessKey": ROOT_KEYS["AWS_SECRET_ACCESS_KEY"]},
            "environment": ENVIRONMENT,
            "tables": outputs["tables"],
            "scratchTables": self._scratch_tables(outputs["tables"], python),
            "eventBus": outputs["event_bus"]["name"],
            "queues": {camel_case(name): url for name, url in outputs["queues"].items()},
            "secretPrefix": outputs["secret_prefix"],
            "logGroups": outputs["log_groups"],
            "directory": str(self.folder),
        }

    def _write(self, description: dict) -> None:
        scratch = self.json.with_suffix(".new")
        with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(description, file, indent=2)
            file.write("\n")
        scratch.replace(self.json)

    def _scratch_tables(self, tables: dict, python: Path) -> dict:
        made = subprocess.run(
            [str(python), str(Path(__file__).with_name("scratch_tables.py")), json.dumps(tables)],
            env={"AWS_ENDPOINT_URL": self._address.read_text(), "AWS_DEFAULT_REGION": REGION, **ROOT_KEYS},
            capture_output=True,
            text=True,
        )
        if made.returncode:
            raise Failure(f"The tables of the tests could not be made:\n{made.stderr.strip()}")
        return json.loads(made.stdout)

    def _wait_for(self, name: str, log: Path, ready) -> None:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(ValueError):  # a file seen half written
                if ready():
                    return
            if not self._processes.alive(name):
                raise Failure(f"{name} ended at once:\n{tail(log)}")
            if time.monotonic() > deadline:
                raise Failure(f"{name} is not ready after 30 s:\n{tail(log)}")
            time.sleep(0.05)

    def _end(self) -> bool:
        """Ends what runs and clears what is of no use without it. Functions first, so that none calls a simulator that is gone."""
        was_up = self._processes.alive("ministack") or self._processes.alive("simulator")
        self._stop_console()
        self._processes.stop("ministack")
        self._processes.stop("simulator")
        for file in (self.json, self._address, self._simulator_ready):
            file.unlink(missing_ok=True)
        self._forget()
        return was_up

    def _forget(self) -> None:
        """What was of a ministack that is gone."""
        for state in (self.folder / "infra").glob("*terraform.tfstate*"):
            state.unlink()
        for scratch in ("tmp", "home"):
            shutil.rmtree(self.folder / scratch, ignore_errors=True)

    def _fresh(self, name: str) -> Path:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._logs.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Failure(f"Another command is at work on the stack in {shown(self.folder)}") from None
            yield
