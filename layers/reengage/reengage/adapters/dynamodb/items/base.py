"""What all items of the table have in common."""

import json
from typing import Any, Self

from pynamodb.attributes import (
    AttributeContainer,
    DiscriminatorAttribute,
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
)


class CompactJSONAttribute(JSONAttribute):
    """JSON without the spaces that pynamodb writes: a row over 1,024 bytes costs two write units."""

    def serialize(self, value: Any) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Item(AttributeContainer):
    """What every item of the table has. ``expires_at`` is the TTL attribute, in epoch seconds; it may be absent.

    It is no ``Model`` of pynamodb: that imports all of botocore.
    """

    pk = UnicodeAttribute()
    sk = UnicodeAttribute()
    type = DiscriminatorAttribute()
    expires_at = NumberAttribute(null=True)

    def __init__(self, pk: str | None = None, sk: str | None = None, **attributes: Any) -> None:
        keys: dict[str, Any] = {name: value for name, value in (("pk", pk), ("sk", sk)) if value is not None}
        super().__init__(**keys, **attributes)

    def serialize(self) -> dict[str, Any]:
        """Return the item in DynamoDB's own JSON. Raises ``ValueError`` if an attribute has no value."""
        raw: dict[str, Any] = self._container_serialize()
        return raw

    @classmethod
    def from_raw_data(cls, raw: dict[str, Any]) -> Self:
        """Return the item that is stored like this, of the class that its ``type`` names."""
        return cls._instantiate(raw)
