"""The console, as `make console` starts it: a program with keys and URLs in its environment, known by what it writes to a file."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

PATIENCE = 20.0  # seconds


class Console:
    """One that runs, or has run: `restart` starts it anew at the same address."""

    def __init__(self, program: Path, stack: dict[str, Any], folder: Path) -> None:
        self._program = program
        self._called = str(stack["environment"])
        self._ready = folder / "browsed.json"
        self._log = folder / "logs" / "browsed.log"
        # Nothing else of this machine: no profile, no session of somebody's account.
        self._environment = {
            "HOME": str(folder / "home"),
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "AWS_ACCESS_KEY_ID": stack["accessKeyId"],
            "AWS_SECRET_ACCESS_KEY": stack["secretAccessKey"],
            "AWS_REGION": stack["region"],
            **{f"{name.upper()}_URL": stack[name] for name in ("setup", "stacks", "runs", "deliveries", "unlink")},
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._given = ""
        self._start(port=0)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def code(self) -> str:
        """The code of a link that nobody has used: of a new one, unless nobody has used the last that was given."""
        deadline = time.monotonic() + 2
        while (link := self._described()["link"]) == self._given and time.monotonic() < deadline:
            time.sleep(0.02)
        self._given = link
        return str(link).partition("#")[2]

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def restart(self) -> None:
        port = self.port
        self.end()
        self._start(port)

    def _start(self, port: int) -> None:
        self._ready.unlink(missing_ok=True)
        command = [str(self._program), "--port", str(port), "--ready-file", str(self._ready), "--environment", self._called]
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._log.parent)
        deadline = time.monotonic() + PATIENCE
        while not self._described():
            assert self._process.poll() is None, f"the console ended at once:\n{self.log()[-2000:]}"
            assert time.monotonic() < deadline, f"the console is not ready:\n{self.log()[-2000:]}"
            time.sleep(0.02)
        self.url = str(self._described()["url"]).rstrip("/")  # its origin; the file goes with the console

    def _described(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._ready.read_text()))
        except (FileNotFoundError, ValueError):  # a file seen half written
            return {}


def started(stack: dict[str, Any]) -> Console:
    """One for the stack that `stack.py with` has started."""
    return Console(Path(os.environ["STACKHOOK_PROGRAMS"]) / "console", stack, Path(stack["directory"]))
