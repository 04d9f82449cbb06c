"""Lambda's zips: one file, `bootstrap`, with a fixed time and mode, so that the same binary gives the same bytes."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path


def write(binary: Path, target: Path, level: int = 9) -> bool:
    """Packs `binary`; leaves a zip of the same binary alone, and says whether there was something to do."""
    content = binary.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    stamp = target.with_suffix(".sha256")
    if target.exists() and stamp.exists() and stamp.read_text() == digest:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system = 3  # Unix, whatever this machine is: only then the mode counts.
    entry.external_attr = 0o100755 << 16
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(entry, content, zipfile.ZIP_DEFLATED, level)
    stamp.write_text(digest)
    return True
