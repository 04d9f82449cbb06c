"""Background processes that outlive the script: started, recorded, recognised again and ended. Nothing is ever ended by name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

PATIENCE = 10.0  # seconds between asking a process to end and making it


class Processes:
    """Those of one stack, recorded in one file."""

    def __init__(self, record: Path) -> None:
        self._record = record

    def start(self, name: str, command: list[str], environment: dict[str, str], log: Path) -> None:
        """Starts a process in a session of its own, so that a Ctrl-C here does not reach it."""
        with open(log, "ab") as output:
            process = subprocess.Popen(
                command, env=environment, cwd=log.parent, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self._write({**self._read(), name: {"pid": process.pid, "born": _born(process.pid)}})

    def alive(self, name: str) -> bool:
        entry = self._read().get(name)
        return entry is not None and entry["born"] is not None and _born(entry["pid"]) == entry["born"]

    def stop(self, name: str) -> None:
        """Asks it to end, waits, then ends it and its children."""
        entries = self._read()
        if self.alive(name):
            pid = entries[name]["pid"]
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + PATIENCE
            while self.alive(name) and time.monotonic() < deadline:
                time.sleep(0.05)
            try:
                os.killpg(pid, signal.SIGKILL)  # its own session: whatever it has left behind
            except (ProcessLookupError, PermissionError):
                pass
        entries.pop(name, None)
        self._write(entries)

    def _read(self) -> dict:
        try:
            return json.loads(self._record.read_text())
        except (FileNotFoundError, ValueError):
            return {}

    def _write(self, entries: dict) -> None:
        self._record.write_text(json.dumps(entries))


def _born(pid: int) -> str | None:
    """When the process with this id was started, or None if there is none: an id can have gone to another process."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return None
    except ChildProcessError:
        pass  # another run of this script started it
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] == "Z" else fields[19]
    answer = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    state, _, started = answer.partition(" ")
    return None if not answer or state.startswith("Z") else started.strip()
