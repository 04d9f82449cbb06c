#!/usr/bin/env python3
"""The zips that are deployed: target/package/<arch>/<function>.zip, byte-identical when built again.

    package.py [--arch arm64|x86_64]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import requirements
import zips
from terminal import ROOT, Failure, run_command, say, shown, step

TARGETS = {"arm64": "aarch64-unknown-linux-gnu", "x86_64": "x86_64-unknown-linux-gnu"}

# One cargo invocation each. The webhook has one to itself, so that what the others ask of shared crates does not reach it.
BUILDS = [["webhook"], ["announce", "deliveries", "dispatch", "reconcile", "report", "runs", "setup", "stacks", "unlink"]]


def package(arch: str) -> Path:
    """Builds and packs every function; gives the folder."""
    target = TARGETS[arch]
    require_target(target)
    programs = requirements.ensure(requirements.PACKAGING)
    binaries = ROOT / "target" / "lambda" / arch
    packages = ROOT / "target" / "package" / arch
    for functions in BUILDS:
        with step(f"builds {', '.join(functions)} for {arch}"):
            build(programs, target, functions, binaries)
    for function in sorted(sum(BUILDS, [])):
        zipped = packages / f"{function}.zip"
        zips.write(binaries / function / "bootstrap", zipped)
        say(f"    {shown(zipped)}  {zipped.stat().st_size / 1e6:.2f} MB")
    return packages


def build(programs: Path, target: str, functions: list[str], binaries: Path) -> None:
    # zig links against the oldest C library that Amazon Linux has had, whatever this machine's is. Cargo.toml says how to
    # optimise: cargo-lambda's own settings would let a panic end the process, where it must become an answer.
    command = [
        *[str(programs / "cargo-lambda"), "lambda", "build", "--release", "--locked", "--disable-optimizations"],
        *["--target", target, "--skip-target-check", "--output-format", "binary", "--lambda-dir", str(binaries)],
    ]
    for function in functions:
        command += ["--package", function, "--bin", function]
    if subprocess.run(command, cwd=ROOT, env=environment(programs), stdin=subprocess.DEVNULL).returncode:
        raise Failure("cargo lambda build failed")


def environment(programs: Path) -> dict[str, str]:
    """No path of this machine gets into a binary, so that another machine's is the same."""
    cargo_home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "RUSTFLAGS": f"--remap-path-prefix={ROOT}=/stackhook --remap-path-prefix={cargo_home}=/cargo",
    }


def require_target(target: str) -> None:
    """cargo-lambda would download it without asking."""
    if shutil.which("rustc") is None:
        raise Failure("Rust is not installed", "https://rustup.rs")
    answer = subprocess.run(["rustc", "--print", "target-libdir", "--target", target], capture_output=True, text=True, cwd=ROOT)
    if answer.returncode or not any(Path(answer.stdout.strip()).glob("libstd-*")):
        raise Failure(f"Rust cannot build for {target} here", f"rustup target add {target}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=sorted(TARGETS), default="arm64")
    package(parser.parse_args().arch)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    run_command(main)
