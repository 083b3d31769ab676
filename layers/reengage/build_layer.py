"""Build the layer: pinned wheels, only the data in use, and bytecode without source files.

    python3.13 build_layer.py <folder>/python

`sam build` runs it through the Makefile beside it. SAM dates all files of a package 1980. So ordinary bytecode is out
of date on Lambda, and each module is compiled again at each cold start. This bytecode has no source file and no date.
Native modules are included for both processors under different names, so that one layer runs on either.
"""

import argparse
import ast
import gzip
import importlib.util
import json
import marshal
import pickle  # nosec B403 # for Babel's own data, see _keep
import re
import shutil
import subprocess  # nosec B404 # for pip alone, with fixed arguments
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
PYTHON: Final = (3, 13)
ON_LAMBDA: Final = "/opt/python"
"""Where Lambda unpacks the layer; the file names of a traceback begin with it."""

PROCESSORS: Final = {
    "arm64": ("manylinux_2_28_aarch64", "manylinux2014_aarch64"),
    "x86_64": ("manylinux_2_28_x86_64", "manylinux2014_x86_64"),
}
"""The wheels that fit each of Lambda's processors; its Amazon Linux 2023 has glibc 2.34."""

SERVICES: Final = (
    "dynamodb",
    "events",
    "lambda",
    "pinpoint-sms-voice-v2",
    "secretsmanager",
    "socialmessaging",
    "sqs",
    "xray",
)
"""The services of AWS that the app and the X-Ray SDK call, as botocore names them."""

UNUSED: Final = (
    "*.pyi",
    "*/py.typed",
    "bin",
    "wrapt-stubs",
    "*.c",
    # The commands for people run from the project, not on Lambda.
    "reengage/__main__.py",
    "reengage/cli",
    "reengage/report",
    "reengage/schemas",
    "reengage/*.md",
    # botocore has its models trimmed below; these are for documentation and for its own tests.
    "botocore/data/*/*/examples-1.json",
    "botocore/data/*/*/waiters-2.json",
    "botocore/data/*/*/paginators-1*.json",
    # Powertools: the layer has Logger, Metrics and Tracer in use.
    "aws_lambda_powertools/event_handler",
    "aws_lambda_powertools/utilities/[abcdfikpsv]*",
    # Babel: messages are Fluent's.
    "babel/messages",
    # The zones are tzdata's; fluent.runtime imports pytz all the same.
    "pytz/zoneinfo",
    # The names of places and carriers, short numbers, and numbers within a text.
    "phonenumbers/geodata",
    "phonenumbers/carrierdata",
    "phonenumbers/shortdata",
    "phonenumbers/shortnumberinfo.py",
    "phonenumbers/asyoutypeformatter.py",
    "phonenumbers/phonenumbermatcher.py",
    "phonenumbers/data/alt_format_*",
)
"""Files that are installed and not used: patterns of paths in the layer."""

USED: Final = ("aws_lambda_powertools/utilities/jmespath_utils",)
"""Files that a pattern of ``UNUSED`` matches and that are used: Logger finds a request's id by one."""

PHONE_IMPORTS: Final = {
    "__init__.py": (r"from \.(asyoutypeformatter|phonenumbermatcher|shortnumberinfo) import ",),
    "data/__init__.py": (r"from \.alt_format_\d+ import ", r"_ALT_NUMBER_FORMATS = "),
}
"""Statements of `phonenumbers` that need files of `UNUSED`: it imports all of itself at once, which takes 10 ms."""

LOCALE_KEYS: Final = frozenset(
    {
        "character_order",
        "date_formats",
        "datetime_formats",
        "day_period_rules",
        "day_periods",
        "days",
        "decimal_formats",
        "default_numbering_system",
        "eras",
        "locale_id",
        "months",
        "number_symbols",
        "numbering_systems",
        "ordinal_form",
        "plural_form",
        "quarters",
        "time_formats",
        "week_data",
    }
)
"""Locale data for dates, times, numbers and plurals. Every locale of CLDR stays: a brand may use any."""

GLOBAL_KEYS: Final = frozenset(
    {
        "language_aliases",
        "likely_subtags",
        "parent_exceptions",
        "script_aliases",
        "territory_aliases",
        "variant_aliases",
    }
)
"""Data to find a locale by its tag."""


class BuildError(Exception):
    """The layer cannot be built; the message shows what to do."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the layer.")
    parser.add_argument("output", type=Path, help="the folder `python` of the layer; made anew")
    try:
        build(parser.parse_args().output)
    except BuildError as error:
        sys.exit(f"build_layer.py: {error}")


def build(output: Path) -> None:
    """Make `output` anew. Raises ``BuildError``."""
    if sys.version_info[:2] != PYTHON:
        raise BuildError(f"this is Python {sys.version.split()[0]}; run it by Python 3.13, whose bytecode Lambda runs")
    shutil.rmtree(output, ignore_errors=True)
    install_all(output)
    shutil.copytree(HERE / "reengage", output / "reengage", ignore=shutil.ignore_patterns("__pycache__"))
    remove_unused(output)
    trim_botocore(output / "botocore" / "data")
    trim_babel(output / "babel")
    trim_phonenumbers(output / "phonenumbers")
    shorten_metadata(output)
    add_dataclass_bytecode(output)
    compile_all(output)


def install_all(output: Path) -> None:
    """Install for one processor, and add the native modules of the others: all other files are the same."""
    first, *others = PROCESSORS
    install(first, output)
    native = {path.parent for path in output.rglob("*.so")}
    for other in others:
        with TemporaryDirectory() as scratch:
            install(other, Path(scratch))
            for path in Path(scratch).rglob("*.so"):
                shutil.copy(path, output / path.relative_to(scratch))
    for folder in native:
        modules = {path.name.partition(".")[0] for path in folder.glob("*.so")}
        if len([*folder.glob("*.so")]) != len(modules) * len(PROCESSORS):
            raise BuildError(f"{folder.name}: a native module is not there for each of {', '.join(PROCESSORS)}")


def install(processor: str, output: Path) -> None:
    """Install the pinned wheels, each checked by its hash. Raises ``BuildError``."""
    fitting = [argument for tag in PROCESSORS[processor] for argument in ("--platform", tag)]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    wheels = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", "3.13", *fitting]
    exactly = ["--no-deps", "--require-hashes", "--requirement", str(HERE / "requirements-lock.txt")]
    command = [*pip, *wheels, *exactly, "--no-compile", "--target", str(output)]
    run = subprocess.run(command, check=False)  # nosec B603 # no shell, and no argument from outside
    if run.returncode:
        raise BuildError(f"pip of {sys.executable} ended with {run.returncode}; its message is above")


def remove_unused(output: Path) -> None:
    """Remove what `UNUSED` names. Raises ``BuildError`` if a pattern names nothing: a new release moved it."""
    kept = {output / name for name in USED}
    idle = [pattern for pattern in UNUSED if not _remove(output, pattern, kept)]
    if missing := sorted({*idle} - {"bin"}):
        raise BuildError(f"nothing in the layer is named {', '.join(missing)}; bring UNUSED up to date")


def _remove(output: Path, pattern: str, kept: set[Path]) -> bool:
    found = False
    for path in [*output.rglob("*")]:
        if path not in kept and path.exists() and fnmatch(path.relative_to(output).as_posix(), pattern):
            found = True
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return found


def trim_botocore(data: Path) -> None:
    """Keep only the services in use, their newest version, and no prose of their models."""
    for folder in filter(Path.is_dir, [*data.iterdir()]):
        if folder.name not in SERVICES:
            shutil.rmtree(folder)
    prefixes = set()
    for service in SERVICES:
        *former, newest = sorted((data / service).iterdir())
        for folder in former:
            shutil.rmtree(folder)
        for path in [*newest.glob("*.json.gz")]:
            model = _without_prose(json.loads(gzip.decompress(path.read_bytes())))
            _write_json(path.with_suffix(""), model)
            path.unlink()
            prefixes.add(model.get("metadata", {}).get("endpointPrefix"))
    _rewrite(data / "endpoints.json", lambda endpoints: _only(endpoints, prefixes))


def _only(endpoints: Any, prefixes: set[str]) -> Any:
    for partition in endpoints["partitions"]:
        partition["services"] = {name: value for name, value in partition["services"].items() if name in prefixes}
    return endpoints


def _without_prose(model: Any) -> Any:
    """Return a model without the documentation of its parts; a member named `documentation` is an object and stays."""
    if isinstance(model, dict):
        return {
            name: _without_prose(value)
            for name, value in model.items()
            if not (name == "documentation" and isinstance(value, str))
        }
    return [_without_prose(each) for each in model] if isinstance(model, list) else model


def _rewrite(path: Path, change: Callable[[Any], Any]) -> None:
    _write_json(path, change(json.loads(path.read_text(encoding="utf-8"))))


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def trim_phonenumbers(package: Path) -> None:
    """Leave out the statements that need removed files. Raises ``BuildError`` if one is missing: a release moved it."""
    for name, patterns in PHONE_IMPORTS.items():
        tree = ast.parse((package / name).read_text(encoding="utf-8"))
        for pattern in patterns:
            removed = [node for node in tree.body if re.match(pattern, ast.unparse(node))]
            if not removed:
                raise BuildError(f"phonenumbers/{name} has no {pattern}; bring PHONE_IMPORTS up to date")
            tree.body = [node for node in tree.body if node not in removed]
        (package / name).write_text(ast.unparse(tree), encoding="utf-8")


def trim_babel(babel: Path) -> None:
    """Keep the parts of each locale that a text of the app may need."""
    sys.path.insert(0, str(babel.parent))  # its pickles hold a class of its own
    sys.dont_write_bytecode = True
    try:
        for path in (babel / "locale-data").glob("*.dat"):
            _keep(path, LOCALE_KEYS)
        _keep(babel / "global.dat", GLOBAL_KEYS)
    finally:
        sys.path.remove(str(babel.parent))


def _keep(path: Path, keys: frozenset[str]) -> None:
    data = pickle.loads(path.read_bytes())  # nosec B301 # a file of the Babel wheel, which pip checked by its hash
    kept = {name: value for name, value in data.items() if name in keys}
    path.write_bytes(pickle.dumps(kept, protocol=pickle.HIGHEST_PROTOCOL))


def shorten_metadata(output: Path) -> None:
    """Keep name, version and licence of each wheel's metadata: vulnerability scanners read them."""
    for folder in output.glob("*.dist-info"):
        metadata = folder / "METADATA"
        header = metadata.read_text(encoding="utf-8").partition("\n\n")[0]
        shutil.rmtree(folder)
        folder.mkdir()
        metadata.write_text(f"{header}\n", encoding="utf-8")


def add_dataclass_bytecode(output: Path) -> None:
    """Run `dataclass_bytecode.py` in a process of its own, for it imports the layer. Raises ``BuildError``."""
    command = [sys.executable, "-I", "-S", "-B", str(HERE / "dataclass_bytecode.py"), str(output)]
    run = subprocess.run(command, check=False)  # nosec B603 # no shell, and no argument from outside
    if run.returncode:
        raise BuildError(f"dataclass_bytecode.py ended with {run.returncode}; its message is above")


def compile_all(output: Path) -> None:
    """Put bytecode in the place of each source."""
    for path in [*output.rglob("*.py")]:
        source = path.read_bytes()
        code = compile(without_docstrings(source), f"{ON_LAMBDA}/{path.relative_to(output).as_posix()}", "exec")
        path.with_suffix(".pyc").write_bytes(bytecode(source, code))
        path.unlink()
    for folder in [*output.rglob("__pycache__")]:
        shutil.rmtree(folder)


def bytecode(source: bytes, code: Any) -> bytes:
    """A .pyc that is found by a hash of its source and never checked against it (PEP 552)."""
    unchecked = 0b01
    return b"".join(
        (
            importlib.util.MAGIC_NUMBER,
            unchecked.to_bytes(4, "little"),
            importlib.util.source_hash(source),
            marshal.dumps(code),
        )
    )


def without_docstrings(source: bytes) -> ast.Module:
    """The module's tree without docstrings; asserts stay, other than by `-OO`.

    A dataclass gets a short one in any case. Without it `dataclasses` writes one from the signature at each import,
    which takes as long as all else that it does.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.copy_location(ast.Pass(), first)]
            if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(each) for each in node.decorator_list):
                node.body.insert(0, ast.Expr(ast.Constant("-")))
    return ast.fix_missing_locations(tree)


if __name__ == "__main__":
    main()
