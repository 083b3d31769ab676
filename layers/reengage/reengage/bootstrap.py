"""The one place that builds adapters: lazily, and once for each execution environment."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any, Final

import botocore.session
from botocore.config import Config

from .adapters.dynamodb import DynamoDBStore
from .adapters.eventbridge import EventBridgeChannel, EventBus
from .adapters.rejected_events import RejectedEventsQueue
from .domain.contact import CHANNELS
from .domain.policy import Circumstances
from .domain.reasons import Door
from .errors import InvalidEvent
from .observability import LEFT, count, observed
from .ports import Channel, KeepRejected, Publish, Wording
from .settings import Settings
from .usecases.reject_event import reject_event
from .usecases.send_due_messages import WORKERS, Sender, summary

MARGIN: Final = timedelta(seconds=15)
"""Before its time limit a run takes on nothing new: what is in hand must be settled, and the answer written."""

CLAIM_GRACE: Final = timedelta(seconds=60)
"""So long after the time limit of the run that made it, a claim is surely nobody's."""


class App:
    """The adapters of one execution environment."""

    @cached_property
    def settings(self) -> Settings:
        return Settings.from_env()

    @cached_property
    def store(self) -> DynamoDBStore:
        return DynamoDBStore.connect(self.settings.table_name, workers=WORKERS)

    @cached_property
    def publish(self) -> Publish:
        # The bus tries again by itself, entry by entry: no more than 10 s in all, so that a run can end in time.
        return observed(EventBus(self._client("events", total_max_attempts=1), self.settings.event_bus_name))

    @cached_property
    def keep_rejected(self) -> KeepRejected:
        return RejectedEventsQueue(self._client("sqs"), self.settings.rejected_events_queue_url)

    @cached_property
    def channels(self) -> Mapping[str, Channel]:
        asking = EventBus(self._client("events", total_max_attempts=1, read_timeout=5), self.settings.event_bus_name)
        return dict.fromkeys(CHANNELS, EventBridgeChannel(asking))

    def clock(self) -> datetime:
        return datetime.now(UTC)

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def render(self, circumstances: Circumstances) -> Wording:
        # 0.2 s to import, and a run with nothing to send needs it not.
        from reengage.adapters.wording import FluentWording  # noqa: PLC0415

        return FluentWording(self.settings.default_locale)(circumstances)

    def reject(self, event: Any, why: InvalidEvent) -> dict[str, Any]:
        return reject_event(event, why, keep=self.keep_rejected, publish=self.publish)

    def send_due(self, door: Door, *, milliseconds: int) -> dict[str, Any]:
        """Sends what is due at one door, within the time that the invocation has left."""
        time_left = timedelta(milliseconds=milliseconds)
        sender = Sender(
            door=door,
            store=self.store,
            channels=self.channels,
            render=self.render,
            publish=self.publish,
            clock=self.clock,
            new_id=self.new_id,
            claim_lasts=time_left + CLAIM_GRACE,
        )
        answer = summary(sender.run(stop_at=self.clock() + time_left - MARGIN))
        if answer["left"]:
            count(LEFT, answer["left"])
        return answer

    @cached_property
    def _session(self) -> botocore.session.Session:
        return botocore.session.get_session()

    def _client(self, service: str, *, total_max_attempts: int = 3, read_timeout: float = 2) -> Any:
        config = Config(
            connect_timeout=1,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": total_max_attempts},
            max_pool_connections=WORKERS,
        )
        return self._session.create_client(service, config=config)


@cache
def app() -> App:
    return App()
