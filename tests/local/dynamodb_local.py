"""Amazon's own DynamoDB Local, in memory: real conditions, transactions, capacity figures and concurrency.

It is of 2020 and knows no `ReturnValuesOnConditionCheckFailure`.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.local.processes import TOOLS, free_port, serving

HOME = TOOLS / "dynamodb-local"


def why_unavailable() -> str | None:
    """Return why DynamoDB Local cannot run here; ``None`` if it can."""
    java = shutil.which("java")
    if java is None or subprocess.run([java, "-version"], capture_output=True, check=False).returncode:
        return "Java is missing"
    if not (HOME / "DynamoDBLocal.jar").exists():
        return f"{HOME.relative_to(HOME.parents[1])} is missing: run `make setup`, which needs npm"
    return None


@contextmanager
def running(*, memory: Sequence[str] = ("-Xmx512m",)) -> Iterator[str]:
    """Start it on a free port, with an empty store; yield the endpoint's URL. ``memory``: options of Java."""
    port = free_port()
    command = [
        *("java", *memory, "-Djava.library.path=DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar"),
        *("-inMemory", "-sharedDb", "-port", str(port)),
    ]
    with tempfile.TemporaryDirectory(prefix="dynamodb-local-") as folder:
        env = os.environ | {"TMPDIR": folder}
        with serving(command, port=port, path="/", env=env, cwd=HOME, log=Path(folder) / "log"):
            yield f"http://127.0.0.1:{port}"
