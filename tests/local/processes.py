"""Start programs for a while, and end them with everything that they started; fork processes of our own code."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"


class ServerError(RuntimeError):
    """A server did not start; the message has the end of its output."""


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def started(
    command: Sequence[str], *, env: Mapping[str, str], cwd: Path, output: int | IO[str]
) -> Iterator[subprocess.Popen[str]]:
    """Run `command` with its output, errors too, to `output`; stop it when the block ends, however it ends.

    It has a process group of its own, so that Ctrl-C reaches us alone and we stop all that it started.
    SIGTERM ends the block like Ctrl-C.
    """
    with (
        _sigterm_as_exit(),
        subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            _stop(process)


@contextmanager
def serving(
    command: Sequence[str],
    *,
    port: int,
    path: str,
    env: Mapping[str, str],
    cwd: Path,
    log: Path,
    timeout: float = 60.0,
) -> Iterator[None]:
    """Run the server `command` until the block ends; enter it once `path` answers on 127.0.0.1:`port`.

    `log` gets its output; `timeout` is in seconds. Raises ServerError if it does not come up.
    """
    with log.open("w") as output, started(command, env=env, cwd=cwd, output=output) as process:
        deadline = time.monotonic() + timeout
        while not answers(port, path):
            if process.poll() is not None:
                raise ServerError(f"{command[0]} ended with {process.returncode}:\n{_tail(log)}")
            if time.monotonic() > deadline:
                raise ServerError(f"{command[0]} did not answer within {timeout:.0f} s:\n{_tail(log)}")
            time.sleep(0.05)  # nothing tells us but the port
        yield


def answers(port: int, path: str) -> bool:
    """Return whether an HTTP server answers ``path`` on 127.0.0.1 without a server error."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[str]) -> None:
    """End the whole group: first politely, then by SIGKILL."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
            process.wait(5)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Let SIGTERM unwind the stack: by default it would end this process and leave the others running."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(signum: int, _frame: FrameType | None) -> None:
        sys.exit(128 + signum)

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def progress(say: Callable[[str], None], text: Callable[[], str], every: float = 9.0) -> Iterator[None]:
    """Call ``say(text())`` each ``every`` seconds until the block ends: a person must see that work continues."""
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(every):
            say(text())

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


# Processes of our own code. Only a process without threads may be forked.


def forked(work: Callable[..., int | None], *args: Any) -> int:
    """Start a process that does the work, and return its id. It prints nothing.

    It ends with the exit code that the work returns, 0 if that is ``None``, and 1 after an exception.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            code = work(*args) or 0
    except BaseException as error:  # noqa: BLE001 - it is the end of the process, and its code reports it
        sys.stderr.write(f"a forked process failed: {error!r}\n")
    finally:
        os._exit(code)


def exit_code(pid: int) -> int:
    """Wait for the process; return its exit code, or the negative number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class ForkedCall:
    """A call in a process of its own, which is forked at once and begins once it has its input.

    Create it before any thread starts. ``work`` gets the arguments of ``run`` and returns what JSON can carry.
    """

    def __init__(self, work: Callable[..., Any]) -> None:
        (given, self._give), (self._taken, taking) = os.pipe(), os.pipe()

        def begin() -> None:
            os.close(self._give)
            os.close(self._taken)
            with os.fdopen(given) as pipe:
                environment, arguments = json.loads(pipe.read())
            os.environ.update(environment)
            answer = work(*arguments)
            with os.fdopen(taking, "w") as pipe:
                pipe.write(json.dumps(answer))

        self._pid = forked(begin)
        os.close(given)
        os.close(taking)

    def run(self, environment: Mapping[str, str], *arguments: Any) -> Any:
        """Let it begin with these variables; return its answer. Raises ``RuntimeError`` if it failed."""
        with os.fdopen(self._give, "w") as pipe:
            pipe.write(json.dumps([dict(environment), arguments]))
        with os.fdopen(self._taken) as pipe:
            answer = pipe.read()
        if code := exit_code(self._pid):
            raise RuntimeError(f"the forked process ended with {code}")
        return json.loads(answer)
