"""What a stack needs of this machine: its architecture, binaries built for it, a free port on its loopback."""

from __future__ import annotations

import json
import platform
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from terminal import ROOT, Failure, step


def build() -> Path:
    """The functions and the simulator for this machine. Plain cargo, the whole workspace at once: its artefacts are the tests' own."""
    if shutil.which("cargo") is None:
        raise Failure("cargo is not installed", "https://rustup.rs")
    with step("cargo build"):
        command = ["cargo", "build", "--locked", "--workspace", "--bins"]
        if subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL).returncode:
            raise Failure("cargo build failed")
    return programs()


def programs() -> Path:
    """Where that puts what it builds."""
    return target_folder() / "debug"


def target_folder() -> Path:
    """Where cargo builds to; CARGO_TARGET_DIR and configuration files have a say in it."""
    metadata = subprocess.run(["cargo", "metadata", "--format-version=1", "--no-deps"], cwd=ROOT, capture_output=True, text=True, check=True)
    return Path(json.loads(metadata.stdout)["target_directory"])


def host_architecture() -> str:
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str) -> bool:
    # No proxy: it would not know this machine's loopback.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False
