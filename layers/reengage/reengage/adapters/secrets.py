"""The providers' keys, from one secret of Secrets Manager: a JSON object, read again every few minutes."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from reengage.errors import ConfigurationError

FRESH_FOR: Final = 300
"""Seconds. A rotated key is in use after this time, without a deployment."""

NOT_AGAIN_FOR: Final = 30
"""Seconds. If Secrets Manager fails, the former keys are used for this time before the next try."""

_log = logging.getLogger(__name__)


@dataclass
class ProviderSecrets:
    """Reads the keys at the first use and caches them. Never log what it returns."""

    arn: str
    client: Any
    monotonic: Callable[[], float] = time.monotonic
    _keys: Mapping[str, Any] | None = field(default=None, init=False, repr=False)
    _read_from: float = field(default=0, init=False)

    def __call__(self) -> Mapping[str, Any]:
        """Return the keys. Raises ``ConfigurationError`` if they were never read."""
        if self._keys is not None and self.monotonic() < self._read_from:
            return self._keys
        try:
            self._keys = self._read()
            self._read_from = self.monotonic() + FRESH_FOR
        except ConfigurationError as error:
            if self._keys is None:
                raise
            self._read_from = self.monotonic() + NOT_AGAIN_FOR
            _log.warning("the former keys are used: %s", error)
        return self._keys

    def _read(self) -> Mapping[str, Any]:
        try:
            keys = json.loads(self.client.get_secret_value(SecretId=self.arn)["SecretString"])
        except ClientError as error:
            raise ConfigurationError(f"the providers' secret: {error.response['Error']['Code']}") from None
        except ValueError:  # without the cause: a decoder quotes what it could not read
            raise ConfigurationError("the providers' secret: expected JSON") from None
        except (BotoCoreError, OSError, KeyError) as error:
            raise ConfigurationError(f"the providers' secret: {type(error).__name__}") from None
        if not isinstance(keys, dict):
            raise ConfigurationError("the providers' secret: expected a JSON object of keys")
        return {name: _trimmed(key) for name, key in keys.items()}

    def in_hand(self) -> Mapping[str, Any]:
        """Return the keys as last read, without waiting. Raises ``ConfigurationError`` if they were never read."""
        if self._keys is None:
            raise ConfigurationError("the providers' secret: not read yet")
        return self._keys


def _trimmed(key: Any) -> Any:
    """Remove the line end that was pasted with a key."""
    if isinstance(key, list):
        return [_trimmed(item) for item in key]
    return key.strip() if isinstance(key, str) else key
