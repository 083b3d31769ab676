"""Openers, and the consents that their use proves."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from reengage.domain.contact import Contact
from reengage.domain.openers import Consent, Opener

from .tables import Tables


class Openers(Tables):
    """Make, read and use openers."""

    def keyed_hash(self, text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    def read_openers(self, brand: str, tokens: Sequence[str]) -> Mapping[str, Opener]:
        return {token: self._openers[brand, token] for token in tokens if (brand, token) in self._openers}

    def write_opener(self, opener: Opener) -> None:
        with self._lock:
            known = self._openers.get((opener.brand, opener.token))
            if known is None or known.used_by is None:
                self._openers[opener.brand, opener.token] = opener

    def use_opener(self, opener: Opener, message: str, *, at: datetime) -> bool:
        with self._lock:
            stored = self._openers.get((opener.brand, opener.token))
            if stored is None or stored.used_by not in (None, message):
                return False
            self._openers[opener.brand, opener.token] = replace(stored, used_by=message, used_at=at)
            return True

    def write_consent(self, contact: Contact, consent: Consent, *, expires_at: int) -> None:
        with self._lock:
            self._consents.setdefault((contact, consent.message_id), (consent, expires_at))
