"""The adapters that several functions share."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from functools import cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from ..adapters.aws_clients import AwsClients
from ..adapters.eventbridge import SOURCE, EventBus, without
from ..errors import ConfigurationError
from ..observability import NOT_PUBLISHED, count, logger, observed, tracer
from ..settings import BusSettings, EventSettings, ProviderSettings, Settings, StackSettings

if TYPE_CHECKING:
    from ..adapters.dynamodb import DynamoDBStore
    from ..adapters.inbound.relay import Relay
    from ..adapters.secrets import ProviderSecrets
    from ..errors import InvalidEvent
    from ..ports import KeepRejected, Publish

CONNECTIONS: Final = 24
"""Connections that stay open for each service: one for each worker of a run (``send_due_messages.WORKERS``)."""

MAKING: Final = Lock()
"""Build an adapter once, although a run's threads need it at the same time."""


def read_tolerantly[T: Settings](settings: type[T]) -> T:
    """Read the settings, with the safest value for each wrong one: a STOP must not wait for a correction."""
    try:
        return settings.from_env()
    except ConfigurationError as error:
        found = settings.from_env(tolerant=True)
        logger().error("a setting is wrong", error=str(error))
        return found


class Adapters:
    """What every function needs: its settings, the bus, a clock and ids."""

    @cached_property
    def settings(self) -> BusSettings:
        return BusSettings.from_env()

    @cached_property
    def publish(self) -> Publish:
        return observed(self._bus())

    def clock(self) -> datetime:
        return datetime.now(UTC)

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def _bus(self, source: str = SOURCE) -> EventBus:
        # The bus tries again by itself, entry by entry: no more than 10 s in all, so that a run can end in time.
        return EventBus(self._lean("events", total_max_attempts=1), self.settings.event_bus_name, source=source)

    @cached_property
    def _aws(self) -> AwsClients:
        return AwsClients(max_connections=CONNECTIONS)

    def _client(self, service: str, *, total_max_attempts: int = 3) -> Any:
        return self._aws.client(service, total_max_attempts=total_max_attempts)

    def _lean(self, service: str, *, total_max_attempts: int = 3) -> Any:
        make = self._aws.client if tracer() else self._aws.lean_client  # X-Ray's SDK traces botocore's clients alone
        return make(service, total_max_attempts=total_max_attempts)


class StoreAdapters(Adapters):
    """What a function needs that reads or writes the table."""

    @cached_property
    def settings(self) -> StackSettings:
        return StackSettings.from_env()

    @cached_property
    def store(self) -> DynamoDBStore:
        from ..adapters.dynamodb import DynamoDBStore

        # X-Ray's SDK traces botocore's clients alone.
        make_client = self._aws.table if tracer() else self._aws.lean_table
        return DynamoDBStore.connect(
            self.settings.table_name, workers=CONNECTIONS, hash_key=self.preferences_key, make_client=make_client
        )

    @cached_property
    def publish(self) -> Publish:
        return observed(without(self.settings.events_left_out, self._bus()))

    def preferences_key(self) -> str:
        """Return the key that the addresses of preferences are hashed by; a run's threads need it at once."""
        with MAKING:
            return self._preferences_key

    @cached_property
    def _preferences_key(self) -> str:
        # Read once: with another key, no stored opt-out would be found.
        secret = self._lean("secretsmanager").get_secret_value(SecretId=self.settings.preferences_key_secret)
        return str(secret["SecretString"])


class EventAdapters(Adapters):
    """What a function needs that receives events, and rejects the invalid ones."""

    @cached_property
    def settings(self) -> EventSettings:
        return EventSettings.from_env()

    @cached_property
    def keep_rejected(self) -> KeepRejected:
        from ..adapters.rejected_events import RejectedEventsQueue

        return RejectedEventsQueue(self._lean("sqs"), self.settings.rejected_events_queue_url)

    def reject(self, event: Any, error: InvalidEvent) -> dict[str, Any]:
        """Keep an invalid event with its errors, and publish ``EventRejected``."""
        from ..usecases.reject_event import reject_event

        return reject_event(event, error, keep=self.keep_rejected, publish=self.publish)

    @property
    def relay(self) -> Relay:
        """Publish the content of a provider's call as events in; keep the call if a part of it is invalid."""
        from ..adapters.inbound.relay import SOURCE
        from ..usecases.relay_provider_call import relay_provider_call

        count_unpublished = partial(count, NOT_PUBLISHED)
        return partial(
            relay_provider_call, publish=self._bus(SOURCE), count_unpublished=count_unpublished, reject=self.reject
        )


class ProviderKeys(Adapters):
    """What a function needs that calls providers, or is called by them: their keys."""

    @cached_property
    def settings(self) -> ProviderSettings:
        return ProviderSettings.from_env()

    @cached_property
    def provider_secrets(self) -> ProviderSecrets:
        from ..adapters.secrets import ProviderSecrets

        return ProviderSecrets(self.settings.provider_secrets, self._lean("secretsmanager"))
