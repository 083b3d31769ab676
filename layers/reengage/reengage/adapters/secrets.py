"""The providers' keys, from one secret of Secrets Manager: a JSON object, read anew every few minutes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError, TransformParameterError

from reengage.errors import MissingSetting

FRESH_FOR: Final = 300
"""Seconds: a key that was rotated is in use after this, without a deployment."""


@dataclass(frozen=True)
class ProviderSecrets:
    """Asked for at each use, and cached in between. Never log what it answers."""

    arn: str
    client: Any

    def __call__(self) -> Mapping[str, Any]:
        try:
            keys = self._provider.get(self.arn, max_age=FRESH_FOR, transform="json")
        except (GetParameterError, TransformParameterError) as error:
            # Without the value itself: Powertools quotes what it could not read.
            raise MissingSetting(f"the providers' secret: {type(error).__name__}") from None
        if not isinstance(keys, dict):
            raise MissingSetting("the providers' secret: expected a JSON object of keys")
        return keys

    @cached_property
    def _provider(self) -> SecretsProvider:
        return SecretsProvider(boto3_client=self.client)
