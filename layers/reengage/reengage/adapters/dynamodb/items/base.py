"""What all items of the table have in common."""

import json
from typing import Any

from pynamodb.attributes import DiscriminatorAttribute, JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.models import Model


class CompactJSONAttribute(JSONAttribute):
    """JSON without the spaces that pynamodb writes: a row over 1,024 bytes costs two write units."""

    def serialize(self, value: Any) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Item(Model):
    """What every item of the table has. ``expires_at`` is the TTL attribute, in epoch seconds; it may be absent."""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    type = DiscriminatorAttribute()
    expires_at = NumberAttribute(null=True)
