"""Read a story that a command names."""

from pathlib import Path

from reengage.cli.console import UsageError
from reengage.simulation import Story, StoryError, read_story


def story_of(path: Path) -> Story:
    """Read a story. Raises ``UsageError`` that names the file and what is wrong with it."""
    try:
        return read_story(path)
    except StoryError as error:
        raise UsageError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
