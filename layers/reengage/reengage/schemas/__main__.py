"""Write the generated files; ``--check`` only compares. Run in the project's folder: ``make schemas``."""

import sys
import tomllib
import zoneinfo
from pathlib import Path

from .documents import EVENTS, generated


def main(arguments: list[str]) -> int:
    """Return 0 if the files are current or were written, else 1."""
    root = Path.cwd()
    zoneinfo.reset_tzpath(to=())  # the zones of tzdata, as on Lambda
    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    files = generated(root, version)
    outdated = [path for path, text in files.items() if not _has(root / path, text)]
    removed = sorted({path.relative_to(root) for path in (root / EVENTS / "schemas").rglob("*.json")} - set(files))
    if "--check" in arguments:
        for path in (*outdated, *removed):
            sys.stderr.write(f"{path} is not current; run make schemas\n")
        return 1 if outdated or removed else 0
    for path in outdated:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(files[path], encoding="utf-8")
    for path in removed:
        (root / path).unlink()
    sys.stdout.write(f"{len(outdated)} files written, {len(removed)} removed, {len(files)} in all\n")
    return 0


def _has(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
