"""Openers, under the keyed hash of brand and token, and the consents that their use proves."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from reengage.domain.contact import Contact
from reengage.domain.conversation import expiry
from reengage.domain.openers import Consent, Opener

from .items.base import Item
from .items.openers import OPENER, OpenerItem, consent_item, opener_item, opener_pk, to_opener
from .table import Key, Role


class Openers(Role):
    """Make, read and use openers."""

    def keyed_hash(self, text: str) -> str:
        return self.table.keyed_hash(text)

    def read_openers(self, brand: str, tokens: Sequence[str]) -> Mapping[str, Opener]:
        keys = {self._key(brand, token): token for token in tokens}
        items = self.table.read_all(keys)
        found = {token: to_opener(brand, token, items.get(key)) for key, token in keys.items()}
        return {token: opener for token, opener in found.items() if opener}

    def write_opener(self, opener: Opener) -> None:
        pk, _ = self._key(opener.brand, opener.token)
        item = opener_item(pk, opener)
        if self.table.put(item, Item.pk.does_not_exist()):
            return
        actions = [OpenerItem.valid_until.set(opener.expires_at), Item.expires_at.set(expiry(opener.expires_at))]
        self.table.change((pk, OPENER), actions, OpenerItem.used_by.does_not_exist())

    def use_opener(self, opener: Opener, message: str, *, at: datetime) -> bool:
        unused = OpenerItem.used_by.does_not_exist() | (OpenerItem.used_by == message)
        actions = [OpenerItem.used_by.set(message), OpenerItem.used_at.set(at)]
        return self.table.change(self._key(opener.brand, opener.token), actions, unused) is not None

    def write_consent(self, contact: Contact, consent: Consent, *, expires_at: int) -> None:
        self.table.put(consent_item(contact, consent, expires_at), Item.pk.does_not_exist())

    def _key(self, brand: str, token: str) -> Key:
        return opener_pk(brand, token, self.table.keyed_hash), OPENER
