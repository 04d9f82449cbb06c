"""The virtual environment of the tools that come from PyPI, in .local/venv. Made once, renewed when a pin changes."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

from terminal import ROOT, Failure, step, tail

VENV = ROOT / ".local" / "venv"
BASE = ROOT / "tests" / "requirements.txt"
PACKAGING = Path(__file__).with_name("requirements-package.txt")


def ensure(*files: Path) -> Path:
    """Installs what the files pin; gives the environment's folder of programs."""
    VENV.parent.mkdir(parents=True, exist_ok=True)
    log = VENV.parent / "pip.log"
    with open(VENV.parent / "venv.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for file in files:
            _install(file, log)
    return VENV / "bin"


def _install(file: Path, log: Path) -> None:
    python = VENV / "bin" / "python"
    stamp = VENV / f"{file.stem}.stamp"
    # The path is part of it, because a virtual environment does not survive being moved.
    wanted = hashlib.sha256(f"{VENV} {sys.version_info[:2]}\n".encode() + file.read_bytes()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    with step(f"pip installs {file.relative_to(ROOT)} to .local/venv (once)"), open(log, "w") as output:
        if not python.exists() or not any(VENV.glob("*.stamp")):
            _run([sys.executable, "-m", "venv", "--clear", str(VENV)], output, log, "python3 -m venv failed", "On Debian and Ubuntu: apt install python3-venv")
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", str(file)]
        _run(pip, output, log, "pip failed", "It needs PyPI, or a mirror by PIP_INDEX_URL")
    stamp.write_text(wanted)


def _run(command: list[str], output, log: Path, message: str, hint: str) -> None:
    if subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode:
        raise Failure(f"{message}:\n{tail(log)}", hint)
