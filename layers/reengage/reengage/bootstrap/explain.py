"""The function that answers questions."""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from ..settings import ExplainSettings
from .planning import InvitingApp

if TYPE_CHECKING:
    from datetime import date

    from ..adapters.inbound.questions import AboutContact, AboutTexts, Question
    from ..domain.instants import NamedDay
    from ..domain.subject import BusinessEvent


class ExplainApp(InvitingApp):
    """Build what each question needs. Nothing is changed."""

    @cached_property
    def settings(self) -> ExplainSettings:
        return ExplainSettings.from_env()

    def respond(self, question: Question) -> dict[str, Any] | str:
        """Return the answer as its reader shows it: HTML for a widget of the dashboard."""
        from ..adapters.inbound.questions import AboutPauses

        answer = self.answer(question)
        if isinstance(question, AboutPauses) and question.is_widget:
            from ..adapters.pause_widget import pauses_as_html

            return pauses_as_html(answer["pauses"])
        return answer

    def answer(self, question: Question) -> dict[str, Any]:  # noqa: PLR0911 - one for each question
        """Read the stored data and return the answer."""
        from ..adapters.inbound.questions import (
            AboutBroadcast,
            AboutContact,
            AboutDay,
            AboutEvent,
            AboutOpener,
            AboutPauses,
            AboutStory,
            AboutSubject,
            AboutTexts,
        )

        match question:
            case AboutContact():
                return self._explain(question)
            case AboutEvent(event):
                return self._preview(event)
            case AboutBroadcast(subject):
                from ..usecases.progress import progress

                return progress(subject, store=self.store, clock=self.clock)
            case AboutStory(lines):
                from ..simulation.answer import answer

                return answer(lines)
            case AboutDay(brand, date):
                return self._day(brand, date)
            case AboutOpener(subject):
                from ..usecases.read_openers import read_openers

                ref = subject.ref(self.settings.routes)
                return read_openers(ref, store=self.store, invite=self._invite, clock=self.clock)
            case AboutTexts():
                return self._texts(question)
            case AboutPauses():
                from ..usecases.read_pauses import read_pauses

                brands = self.settings.routes.brands
                return {"pauses": read_pauses(brands, store=self.store, clock=self.clock)}
            case AboutSubject():
                from ..usecases.explain import explain_subject

                ref, policy = question.ref(self.settings.routes), self.settings.policy
                return explain_subject(ref, store=self.store, clock=self.clock, settings=policy, desk=self._desk)

    def _explain(self, question: AboutContact) -> dict[str, Any]:
        from ..usecases.explain import explain, export

        if question.output == "export":
            return export(question.contact, store=self.store, clock=self.clock, cursor=question.after)
        policy = self.settings.policy
        return explain(question.contact, store=self.store, clock=self.clock, settings=policy, desk=self._desk)

    def _preview(self, event: BusinessEvent) -> dict[str, Any]:
        from ..adapters.wording import FluentWording
        from ..usecases.preview import preview

        settings = self.settings
        render = FluentWording(settings.default_locale)
        return preview(event, store=self.store, render=render, settings=settings.policy, clock=self.clock)

    def _texts(self, question: AboutTexts) -> dict[str, Any]:
        from ..adapters.text_list import text_rows
        from ..domain.brand import Brand
        from ..domain.business_events import second_of
        from ..domain.instants import iso

        brand = self.store.read_brand(question.brand) or Brand(question.brand)
        version = brand.versions.get("texts")
        rows = text_rows(
            brand,
            channel=question.channel,
            now=self.clock(),
            reasons=question.reasons,
            locales=question.locales,
        )
        return {"texts": rows, "own_texts_since": iso(second_of(version)) if version and brand.texts else None}

    def _day(self, brand: str, date: date | NamedDay) -> dict[str, Any]:
        from ..usecases.day import day, day_as_json

        policy = self.settings.policy
        return day_as_json(
            day(brand, date, store=self.store, settings=policy, clock=self.clock, desk=self._desk),
        )


@cache
def app() -> ExplainApp:
    return ExplainApp()
