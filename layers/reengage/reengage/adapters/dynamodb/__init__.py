"""The store in one DynamoDB table (layers/README.md, "Table"): a module for each role and kind of item."""

from .store import DynamoDBStore

__all__ = ["DynamoDBStore"]
