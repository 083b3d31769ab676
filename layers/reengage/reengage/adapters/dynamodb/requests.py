"""The requests to DynamoDB, in its own JSON, by a client that makes them.

pynamodb writes their expressions. Its connection is not used: that imports all of botocore, which takes 0.1 s.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException, VerboseClientError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action, Update

Key = tuple[str, str]
"""An item's ``pk`` and ``sk``."""

RawItem = dict[str, Any]
"""An item in DynamoDB's own JSON."""

DUE: Final = "due"
AUDIENCE: Final = "audience"

PARTITION_KEYS: Final[Mapping[str | None, str]] = {None: "pk", DUE: "due_shard", AUDIENCE: "audience_shard"}
"""The partition key of the table, and of each index."""


@dataclass(frozen=True, slots=True)
class Requests:
    """To one table. ``client``: ``LeanClient`` or botocore's. Raises ``PynamoDBException`` with its cause."""

    client: Any
    table_name: str

    def put_item(self, item: RawItem, condition: Condition | None) -> None:
        made = _Request(TableName=self.table_name, Item=item)
        self._call("PutItem", "put item", made.having("ConditionExpression", condition))

    def update_item(
        self, key: Key, actions: Sequence[Action], condition: Condition, *, return_values: str | None = None
    ) -> RawItem:
        """Return the attributes that ``return_values`` names."""
        if not actions:
            raise ValueError("an update without an action")
        made = _Request(TableName=self.table_name, Key=raw_key(key)).having("ConditionExpression", condition)
        made["ReturnValues"] = return_values
        update = Update(*actions)
        answer = self._call("UpdateItem", "update item", made.having("UpdateExpression", update))
        changed: RawItem = answer.get("Attributes", {})
        return changed

    def delete_item(self, key: Key, condition: Condition) -> None:
        made = _Request(TableName=self.table_name, Key=raw_key(key))
        self._call("DeleteItem", "delete item", made.having("ConditionExpression", condition))

    def batch_get_item(self, keys: Iterable[Key]) -> tuple[Sequence[RawItem], list[Key]]:
        """Read the items, strongly consistent. Return them and the keys that DynamoDB left unprocessed."""
        wanted = {"ConsistentRead": True, "Keys": [raw_key(key) for key in keys]}
        made = _Request(RequestItems={self.table_name: wanted})
        answer = self._call("BatchGetItem", "batch get items", made)
        unread = answer.get("UnprocessedKeys", {}).get(self.table_name, {}).get("Keys", ())
        return answer["Responses"].get(self.table_name, ()), [(key["pk"]["S"], key["sk"]["S"]) for key in unread]

    def batch_delete_item(self, keys: Iterable[Key]) -> list[Key]:
        """Delete the items. Return the keys that DynamoDB left unprocessed."""
        wanted = [{"DeleteRequest": {"Key": raw_key(key)}} for key in keys]
        answer = self._call("BatchWriteItem", "batch write items", _Request(RequestItems={self.table_name: wanted}))
        left = [each["DeleteRequest"]["Key"] for each in answer.get("UnprocessedItems", {}).get(self.table_name, ())]
        return [(key["pk"]["S"], key["sk"]["S"]) for key in left]

    def query(
        self,
        partition: str,
        *,
        range_key_condition: Condition | None = None,
        filter_condition: Condition | None = None,
        consistent_read: bool = False,
        index_name: str | None = None,
        limit: int | None = None,
        start: RawItem | None = None,
    ) -> tuple[Sequence[RawItem], RawItem | None]:
        """Return one page's items and the key to go on from; ``None`` after the last page."""
        key = Path([PARTITION_KEYS[index_name]]) == {"S": partition}
        made = _Request(
            TableName=self.table_name,
            ConsistentRead=consistent_read or None,
            IndexName=index_name,
            Limit=limit,
            ExclusiveStartKey=start,
        )
        made.having("KeyConditionExpression", key if range_key_condition is None else key & range_key_condition)
        answer = self._call("Query", "query items", made.having("FilterExpression", filter_condition))
        return answer["Items"], answer.get("LastEvaluatedKey")

    def scan(
        self, filter_condition: Condition, *, start: RawItem | None = None
    ) -> tuple[Sequence[RawItem], RawItem | None]:
        """Return one page of the whole table, as ``query`` does."""
        made = _Request(TableName=self.table_name, ExclusiveStartKey=start)
        answer = self._call("Scan", "scan table", made.having("FilterExpression", filter_condition))
        return answer["Items"], answer.get("LastEvaluatedKey")

    def _call(self, operation: str, purpose: str, made: "_Request") -> Mapping[str, Any]:
        given = made.given()
        try:
            # Botocore's public methods do no more, and X-Ray's SDK traces this one.
            answer: Mapping[str, Any] = self.client._make_api_call(operation, given)  # noqa: SLF001 - both clients have this name alone
        except ClientError as error:
            cause = _named(error, operation, self.table_name)
            raise PynamoDBException(f"Failed to {purpose}: {cause}", cause) from error
        except BotoCoreError as error:
            raise PynamoDBException(f"Failed to {purpose}: {error}", error) from error
        return answer


class _Request(dict[str, Any]):
    """The fields of a request; those that are ``None`` are left out."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(fields)
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    def having(self, field: str, expression: Condition | Update | None) -> Self:
        """Add an expression, if there is one."""
        if expression is not None:
            self[field] = expression.serialize(self._names, self._values)
        return self

    def given(self) -> dict[str, Any]:
        names = {placeholder: name for name, placeholder in self._names.items()}
        expressions = {"ExpressionAttributeNames": names or None, "ExpressionAttributeValues": self._values or None}
        every = self | expressions | {"ReturnConsumedCapacity": "TOTAL"}
        return {field: value for field, value in every.items() if value is not None}


def raw_key(key: Key) -> RawItem:
    """Return the key in DynamoDB's own JSON."""
    pk, sk = key
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _named(error: ClientError, operation: str, table_name: str) -> VerboseClientError:
    """Return the error with the ids of request and table in its message."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    where = {"request_id": headers.get("x-amzn-requestid", ""), "table_name": table_name}
    return VerboseClientError({"Error": error.response.get("Error", {})}, operation, where)
