"""The providers' keys, from one secret of Secrets Manager: a JSON object, read anew every few minutes."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError, TransformParameterError

from reengage.errors import ConfigurationError

FRESH_FOR: Final = 300
"""Seconds: a key that was rotated is in use after this, without a deployment."""

NOT_AGAIN_FOR: Final = 30
"""Seconds: where Secrets Manager does not answer, the former keys are used, and it is not asked for so long."""

_log = logging.getLogger(__name__)


@dataclass
class ProviderSecrets:
    """Asked for at each use, and cached in between. Never log what it answers."""

    arn: str
    client: Any
    monotonic: Callable[[], float] = time.monotonic
    _keys: Mapping[str, Any] | None = field(default=None, init=False, repr=False)
    _ask_from: float = field(default=0, init=False)

    def __call__(self) -> Mapping[str, Any]:
        """Raises ``ConfigurationError`` where they were never read."""
        if self._keys is not None and self.monotonic() < self._ask_from:
            return self._keys
        try:
            self._keys = self._read()
        except ConfigurationError as why:
            if self._keys is None:
                raise
            self._ask_from = self.monotonic() + NOT_AGAIN_FOR
            _log.warning("the former keys are used: %s", why)
        return self._keys

    def _read(self) -> Mapping[str, Any]:
        try:
            keys = self._provider.get(self.arn, max_age=FRESH_FOR, transform="json")
        except (GetParameterError, TransformParameterError) as error:
            # Without the value itself: Powertools quotes what it could not read.
            raise ConfigurationError(f"the providers' secret: {type(error).__name__}") from None
        if not isinstance(keys, dict):
            raise ConfigurationError("the providers' secret: expected a JSON object of keys")
        return {name: _trimmed(key) for name, key in keys.items()}

    def in_hand(self) -> Mapping[str, Any]:
        """As last read: nothing is waited for. Raises ``ConfigurationError`` where they were never read."""
        if self._keys is None:
            raise ConfigurationError("the providers' secret: not read yet")
        return self._keys

    @cached_property
    def _provider(self) -> SecretsProvider:
        return SecretsProvider(boto3_client=self.client)


def _trimmed(key: Any) -> Any:
    """A key that was pasted with the end of its line is that key."""
    if isinstance(key, list):
        return [_trimmed(each) for each in key]
    return key.strip() if isinstance(key, str) else key
