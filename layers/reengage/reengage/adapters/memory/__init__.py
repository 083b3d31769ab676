"""The store in memory: a module for each role, held to the same contract as DynamoDB's."""

from .holdings import HOLDINGS_PAGE
from .store import MemoryStore

__all__ = ["HOLDINGS_PAGE", "MemoryStore"]
