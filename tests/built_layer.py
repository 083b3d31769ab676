"""The layer, built as `sam build` builds it."""

import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
LAYER: Final = ROOT / ".aws-sam" / "layer" / "python"
"""Where the tests and the benchmark build it."""


def build(output: Path = LAYER) -> Path:
    """Build the layer's folder `python`."""
    python = ROOT / ".tools" / "sam" / "bin" / "python3.13"
    script = ROOT / "layers" / "reengage" / "build_layer.py"
    subprocess.run([python, script, output], check=True)  # noqa: S603 - arguments of ours
    return output
