"""Signature Version 4, for a POST to a service's root."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime

from .surroundings import Credentials, Service


@dataclass(slots=True)
class Signer:
    """Sign requests to one service (AWS General Reference, "Signature Version 4 signing process")."""

    service: Service
    host: str
    region: str
    credentials: Credentials
    _key: tuple[str, bytes] = ("", b"")

    def headers(self, operation: str, body: bytes, now: datetime) -> dict[str, str]:
        """Return the headers of a POST of the body to ``/``."""
        at, token = f"{now:%Y%m%dT%H%M%SZ}", self.credentials.token
        headers = {
            "content-type": f"application/x-amz-json-{self.service.json_version}",
            "host": self.host,
            "x-amz-date": at,
            **({"x-amz-security-token": token} if token else {}),
            "x-amz-target": f"{self.service.target}.{operation}",
        }
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{at[:8]}/{self.region}/{self.service.name}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._signing_key(at[:8]), text.encode(), "sha256").hex()
        return headers | {
            "authorization": f"AWS4-HMAC-SHA256 Credential={self.credentials.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        }

    def _signing_key(self, day: str) -> bytes:
        """Return the day's key, which is made once."""
        known = self._key
        if known[0] != day:
            key = f"AWS4{self.credentials.secret_key}".encode()
            for part in (day, self.region, self.service.name, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = known = (day, key)  # one assignment: several threads may make it
        return known[1]
