"""The layer, built as `sam build` builds it; and Python programs that run with the layer alone."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SOURCE: Final = ROOT / "layers" / "reengage"
BASE_PYTHON: Final = Path(sys.base_prefix) / "bin" / "python3.13"
"""The interpreter without this project's packages, as on Lambda."""


def build() -> Path:
    """Return the layer's folder `python`, built from the sources as they are, or their earlier build."""
    digest = hashlib.sha256()
    for path in sorted(SOURCE.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(SOURCE)}\0".encode() + path.read_bytes())
    built = ROOT / ".aws-sam" / "layer" / digest.hexdigest()[:16]
    if not built.exists():
        built.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=built.parent) as folder:
            made = Path(folder) / "made"
            python = ROOT / ".tools" / "sam" / "bin" / "python3.13"
            command = [python, SOURCE / "build_layer.py", made / "python"]
            subprocess.run(command, check=True)  # noqa: S603 - arguments of ours
            if not built.exists():  # else another process was faster
                made.rename(built)
    return built / "python"


def zipped_size(layer: Path) -> int:
    """Return the bytes of the layer as SAM zips it."""
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(layer.rglob("*")):
                archive.write(path, Path("python") / path.relative_to(layer))
        return file.seek(0, os.SEEK_END)


def run(program: str, paths: Sequence[Path], given: bytes = b"", env: dict[str, str] | None = None) -> bytes:
    """Run a program with these folders and Python's own library alone; return what it prints."""
    setup = f"import sys; sys.path[:0] = {[str(path) for path in paths]!r}\n"
    command = [str(BASE_PYTHON), "-I", "-S", "-B", "-c", setup + program]
    done = subprocess.run(command, env=env or {}, input=given, capture_output=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return done.stdout
