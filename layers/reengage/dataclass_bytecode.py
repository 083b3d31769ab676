"""Give a built layer the bytecode of what `dataclasses` generates, so that Lambda need not compile it.

    python3.13 dataclass_bytecode.py <folder>/python

For each data class, Python writes the text of its methods and compiles it, at each cold start. That takes a sixth of
the CPU of a bare botocore client's start. This program imports the layer's own modules, and keeps the bytecode of each
text in a file of the package `reengage`. Its `__init__` then gives `dataclasses` the bytecode of a text that it knows.
Any other text is compiled as usual: another release of Python costs time and nothing else.
"""

import argparse
import builtins
import dataclasses
import importlib
import marshal
import sys
from pathlib import Path
from typing import Any, Final

FILE: Final = "dataclasses.bin"

INIT: Final = f"""
import builtins, dataclasses, marshal

with open(f"{{__path__[0]}}/{FILE}", "rb") as file:
    BYTECODE = marshal.load(file)

def execute(text, *namespaces):
    code = BYTECODE.get(text)
    builtins.exec(marshal.loads(code) if code else text, *namespaces)

dataclasses.exec = execute
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Add the bytecode of data classes to a built layer.")
    parser.add_argument("layer", type=Path, help="the folder `python` of the layer, before its sources are compiled")
    layer: Path = parser.parse_args().layer
    if not (layer / "reengage").is_dir():
        parser.error(f"{layer}: no folder `reengage` in it. `build_layer.py` runs this program.")
    sys.path.insert(0, str(layer))
    bytecode = generated(layer)
    (layer / "reengage" / FILE).write_bytes(marshal.dumps(bytecode))
    (layer / "reengage" / "__init__.py").write_text(INIT, encoding="utf-8")


def generated(layer: Path) -> dict[str, bytes]:
    """Return the bytecode of each text that `dataclasses` compiles while the layer's own modules are imported."""
    found: dict[str, bytes] = {}

    def execute(text: str, *namespaces: Any) -> None:
        code = compile(text, "<string>", "exec", dont_inherit=True)
        found[text] = marshal.dumps(code)
        builtins.exec(code, *namespaces)  # what the standard library does with its own text

    dataclasses.exec = execute  # type: ignore[attr-defined] # the module's own name comes before the builtin one
    for path in sorted((layer / "reengage").rglob("*.py")):
        try:
            importlib.import_module(".".join(path.relative_to(layer).with_suffix("").parts))
        except ImportError as error:  # on another system than Lambda's, native modules cannot be imported
            sys.stderr.write(f"dataclass_bytecode.py: {path.name} is left out: {error}\n")
    return dict(sorted(found.items()))


if __name__ == "__main__":
    main()
