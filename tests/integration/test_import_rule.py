"""Imports point inward: domain ← use cases ← adapters and bootstrap ← functions. And nothing happens at import."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
LAYER: Final = ROOT / "layers" / "reengage"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What modules of one part may import beside the standard library, by the beginnings of dotted names.

    ``values``: packages of which they may import what has a capital letter, the types, and nothing that does work.
    """

    ours: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


DOMAIN: Final = "reengage.domain"
PORTS: Final = ("reengage.ports", "reengage.errors")

RULE: Final = {
    DOMAIN: Allowed(ours=(DOMAIN,), libraries=("phonenumbers", "tzdata")),
    "reengage.ports": Allowed(ours=(DOMAIN, "reengage.ports")),
    "reengage.errors": Allowed(),
    "reengage.settings": Allowed(ours=(DOMAIN, "reengage.errors"), values=("reengage.usecases",)),
    "reengage.usecases": Allowed(ours=(DOMAIN, *PORTS, "reengage.usecases"), libraries=("msgspec",)),
    "reengage.adapters": Allowed(
        ours=(DOMAIN, *PORTS, "reengage.adapters"),
        libraries=("botocore", "pynamodb", "msgspec", "babel", "fluent"),
    ),
    "reengage.observability": Allowed(ours=(DOMAIN, *PORTS), libraries=("aws_lambda_powertools",)),
    "reengage.report": Allowed(ours=(DOMAIN, "reengage.report")),
    "reengage.schemas": Allowed(
        ours=(DOMAIN, "reengage.adapters.inbound", "reengage.schemas"), libraries=("msgspec", "phonenumbers")
    ),
    "reengage.simulation": Allowed(ours=("reengage",)),
    "reengage.bootstrap": Allowed(ours=("reengage",), libraries=("botocore",)),
    "reengage.__main__": Allowed(ours=("reengage.cli",)),
    "reengage.cli": Allowed(
        ours=("reengage",),
        libraries=("boto3", "botocore", "msgspec", "mypy_boto3_events", "phonenumbers", "rich", "segno", "typer"),
    ),
    "functions.first_deployment": Allowed(libraries=("yaml",)),
    "functions": Allowed(
        ours=(
            "reengage.adapters.inbound",
            "reengage.bootstrap",
            "reengage.errors",
            "reengage.observability",
            "reengage.usecases",
        )
    ),
}
"""The part of a module is the longest of these names that it begins with."""


def modules() -> dict[str, Path]:
    """Every module of the layer and of the functions, by its dotted name."""
    return {
        ".".join(path.relative_to(start).with_suffix("").parts).removesuffix(".__init__"): path
        for start, folder in ((LAYER, LAYER / "reengage"), (ROOT, ROOT / "functions"))
        for path in sorted(folder.rglob("*.py"))
    }


MODULES: Final = modules()


def violations(module: str, source: str, path: str) -> list[str]:
    """Return each import that breaks the rule, as ``file:line: …``."""
    allowed = RULE[_under(module, RULE)]
    return [
        f"{path}:{line}: {module} may not import {name}"
        for line, name in _imports(module, ast.parse(source), is_package=path.endswith("__init__.py"))
        if not _permits(allowed, name)
    ]


def _permits(allowed: Allowed, name: str) -> bool:
    if name.partition(".")[0] in sys.stdlib_module_names:
        return True
    if any(_within(name, package) for package in allowed.values):
        return name.rpartition(".")[2][:1].isupper()
    return any(_within(name, package) for package in (*allowed.ours, *allowed.libraries))


def _imports(module: str, tree: ast.Module, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Return the line and the full name of each import in the file; ``from a import b`` is ``a.b``."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = [*above, *([node.module] if node.module else [])]
            yield from ((node.lineno, ".".join([*base, alias.name])) for alias in node.names)


def _within(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


def _under(module: str, names: dict[str, Allowed]) -> str:
    return max((name for name in names if _within(module, name)), key=len)


@pytest.mark.docs
@pytest.mark.parametrize("module", [name for name in MODULES if name != "reengage"])
def test_imports_point_inward(module: str) -> None:
    path = MODULES[module]
    found = violations(module, path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    assert found == []


@pytest.mark.docs
def test_the_package_itself_imports_nothing() -> None:
    tree = ast.parse(MODULES["reengage"].read_text(encoding="utf-8"))
    assert list(_imports("reengage", tree, is_package=True)) == []


@pytest.mark.docs
@pytest.mark.parametrize(
    ("module", "source", "name"),
    [
        ("reengage.domain.policy", "from ..ports import Clock", "reengage.ports.Clock"),
        ("reengage.domain.policy", "from reengage.errors import InvalidEvent", "reengage.errors.InvalidEvent"),
        ("reengage.domain.policy", "def f():\n    import boto3", "boto3"),
        ("reengage.domain", "from . import policy\nfrom .. import ports", "reengage.ports"),
        ("reengage.ports", "from .usecases import plan_messages", "reengage.usecases.plan_messages"),
        ("reengage.usecases.reject_event", "import botocore.session", "botocore.session"),
        (
            "reengage.usecases.reject_event",
            "from reengage.adapters.memory import MemoryStore",
            "reengage.adapters.memory.MemoryStore",
        ),
        ("reengage.usecases.reject_event", "import reengage.settings", "reengage.settings"),
        (
            "reengage.adapters.memory",
            "from reengage.usecases.plan_messages import plan_messages",
            "reengage.usecases.plan_messages.plan_messages",
        ),
        ("reengage.adapters.inbound.eventbridge", "from ...bootstrap.plan import app", "reengage.bootstrap.plan.app"),
        ("reengage.observability", "from .settings import Settings", "reengage.settings.Settings"),
        (
            "functions.plan_messages.app",
            "from reengage.domain.contact import Contact",
            "reengage.domain.contact.Contact",
        ),
        ("functions.plan_messages.app", "from functions.send_updates import app", "functions.send_updates.app"),
        ("functions.plan_messages.app", "import boto3", "boto3"),
        ("reengage.usecases.plan_messages", "import reengage.domainless", "reengage.domainless"),
    ],
)
def test_the_rule_names_file_line_and_what_was_imported(module: str, source: str, name: str) -> None:
    path = f"{module.replace('.', '/')}{'/__init__.py' if module == 'reengage.domain' else '.py'}"
    line = len(source.splitlines())
    assert violations(module, source, path) == [f"{path}:{line}: {module} may not import {name}"]


@pytest.mark.docs
def test_the_rule_has_a_line_for_every_module() -> None:
    """A new module without a rule fails here, with its name."""
    assert [name for name in MODULES if not any(_within(name, part) for part in RULE)] == ["reengage"]


FRESH_IMPORT: Final = """
import importlib, json, os, sys
import botocore.session, pytest_socket

pytest_socket.disable_socket()
read = []

class Spy(dict):
    "An environment that writes down what our own code looks up."
    def __getitem__(self, name): return note(name, lambda: dict.__getitem__(self, name))
    def get(self, name, default=None): return note(name, lambda: dict.get(self, name, default))
    def __contains__(self, name): return note(name, lambda: dict.__contains__(self, name))
    def __iter__(self): return note("*", lambda: dict.__iter__(self))
    def keys(self): return note("*", lambda: dict.keys(self))
    def items(self): return note("*", lambda: dict.items(self))
    def copy(self): return note("*", lambda: dict.copy(self))

def note(name, answer):
    frame = sys._getframe(2)
    if frame.f_globals.get("__name__") == "os":  # os.getenv
        frame = frame.f_back
    if frame.f_globals.get("__name__", "").split(".")[0] in ("reengage", "functions"):
        read.append(f"{frame.f_globals['__name__']}:{frame.f_lineno}: {name}")
    return answer()

made = []
def make(*args, **kwargs):
    made.append("a client or session of AWS")
    raise AssertionError(made[-1])

botocore.session.Session.__init__ = botocore.session.Session.create_client = make
os.environ = Spy()
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)

from reengage import observability
from reengage.bootstrap import explain, ingest, plan, record, sending, webhook
apps = [module.app for module in (explain, ingest, plan, record, sending, webhook)]
built = [cached.__name__ for cached in (*apps, observability.logger, observability.tracer)
         if cached.cache_info().currsize]
print(json.dumps({"read": read, "made": made, "built": built}))
"""


def _import_afresh(*names: str, functions: Path = ROOT) -> dict[str, list[str]]:
    """Return what importing these modules does in an interpreter of its own, without environment or sockets."""
    answer: dict[str, list[str]] = _answer_of(FRESH_IMPORT, *names, functions=functions)
    return answer


def _answer_of(script: str, *names: str, functions: Path = ROOT) -> Any:
    """Run a script afresh, with the names as its argument; return the JSON in its last line."""
    path = f"import sys; sys.path[:0] = {[str(LAYER), str(functions)]!r}\n"
    command = [sys.executable, "-c", path + script, json.dumps(names)]
    run = subprocess.run(command, env={}, capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.docs
def test_nothing_happens_at_import() -> None:
    assert _import_afresh(*MODULES) == {"read": [], "made": [], "built": []}


@pytest.mark.parametrize(
    ("statement", "seen"),
    [
        ("import os; os.environ.get('TABLE_NAME')", "read"),
        ("import os; os.getenv('TABLE_NAME')", "read"),
        ("import os; dict(os.environ)", "read"),
        ("from reengage.settings import StackSettings\ntry: StackSettings.from_env()\nexcept Exception: pass", "read"),
        ("from reengage.bootstrap.plan import app; app()", "built"),
        ("from reengage.observability import logger; logger()", "built"),
        ("import botocore.session\ntry: botocore.session.get_session()\nexcept AssertionError: pass", "made"),
    ],
)
def test_what_happens_at_import_is_seen(tmp_path: Path, statement: str, seen: str) -> None:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "busy.py").write_text(statement, encoding="utf-8")
    assert _import_afresh("functions.busy", functions=tmp_path)[seen]


def test_a_socket_at_import_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "busy.py").write_text("import socket; socket.socket()", encoding="utf-8")
    with pytest.raises(AssertionError, match="SocketBlockedError"):
        _import_afresh("functions.busy", functions=tmp_path)


PROVIDERS: Final = """
import json, sys
from functions.record_delivery import app
import reengage.bootstrap.record, reengage.usecases.record_delivery
print(json.dumps(sorted(set(sys.modules) & {"reengage.adapters.inbound.aws", "reengage.adapters.inbound.meta"})))
"""


def test_provider_parsers_are_imported_only_for_notifications() -> None:
    """A receipt that the bus delivers needs none of them: each cold start would be longer."""
    assert _answer_of(PROVIDERS) == []


TEXT_PARSERS: Final = ("reengage.usecases.ingest_message", "reengage.adapters.inbound.webhook")
"""Modules that read people's texts."""

WITHOUT_KEYWORDS: Final = (
    "reengage.settings",
    "reengage.bootstrap",
    "reengage.adapters.dynamodb",
    "reengage.usecases.plan_messages",
    "reengage.usecases.record_delivery",
    "reengage.usecases.send_due_messages",
    "reengage.usecases.explain",
)
"""What every function needs, or a function that parses no text."""

KEYWORDS: Final = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
print(json.dumps("reengage.domain.keyword_lists" in sys.modules))
"""


@pytest.mark.parametrize(
    ("names", "imported"), [(WITHOUT_KEYWORDS, False), *(((name,), True) for name in TEXT_PARSERS)]
)
def test_keyword_lists_are_imported_only_to_parse_texts(names: tuple[str, ...], imported: bool) -> None:
    """All functions imported them because of one class of settings: 3 ms of each cold start."""
    assert _answer_of(KEYWORDS, *names) is imported
