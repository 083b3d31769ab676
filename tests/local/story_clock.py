"""A clock for the emulator and its functions, which the test moves. The linker loads it first.

The functions are the deployed ones. They ask the operating system for the time, as on AWS. libfaketime cannot do it.
If its monotonic clock is left true, Python's ``time.sleep`` fails with EINVAL (0.9.10).
"""

import mmap
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

SOURCE: Final = Path(__file__).with_suffix(".c")
SHOWN: Final = struct.Struct("=qq")
"""The instant that the functions see, and what moves the emulator's true time; in nanoseconds."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


class NoCompilerError(RuntimeError):
    """There is no C compiler to build the clock."""


@dataclass(frozen=True, slots=True)
class StoryClock:
    """``environment`` makes a program, and what it starts, use this clock.

    A function sees one instant until the clock is moved. The emulator waits by its clock: there it runs.
    """

    environment: dict[str, str]
    _shown: mmap.mmap

    def go_to(self, at: datetime) -> None:
        """Set the clock to ``at`` for every program that uses it."""
        instant = (at - EPOCH) // MICROSECOND * 1000
        self._shown[:] = SHOWN.pack(instant, instant - time.time_ns())

    def show_true_time(self) -> None:
        self._shown[:] = SHOWN.pack(0, 0)


@contextmanager
def story_clock() -> Iterator[StoryClock]:
    """Make a clock that shows the true time until it is moved. Raises ``NoCompilerError``."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoCompilerError("no C compiler: install one as `cc`, for example Debian's package gcc")
    with TemporaryDirectory(prefix="clock-") as folder:
        library, shown = Path(folder, "clock.so"), Path(folder, "shown")
        subprocess.run([compiler, "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
        shown.write_bytes(SHOWN.pack(0, 0))
        with shown.open("r+b") as file, mmap.mmap(file.fileno(), SHOWN.size) as mapped:
            yield StoryClock({"LD_PRELOAD": str(library), "STORY_CLOCK": str(shown)}, mapped)
