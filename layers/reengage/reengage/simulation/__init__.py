"""Run the app's own use cases over a story: months of events in seconds, with a clock of their own.

``simulate(read_story("story.jsonl"))`` yields every event out in order of simulated time, and a summary at the end.
"""

from .engine import simulate
from .story import Story, StoryError, parse_story, read_story

__all__ = ["Story", "StoryError", "parse_story", "read_story", "simulate"]
