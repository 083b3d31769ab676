"""Every text of a brand with sample data, its length and its SMS segments."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from reengage.domain.brand import Brand
from reengage.domain.contact import Contact
from reengage.domain.reasons import REASONS

from .sms_segments import sms_segments
from .wording import FOLDER, FluentWording, chain, stored_texts
from .wording_samples import sample_input

SAMPLE_NUMBER = "+12025550100"
"""Reserved for fiction: NANPA 555-0100 to 555-0199."""


def standard_locales() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.ftl"))


def locales_of(brand: Brand) -> list[str]:
    """Return the locales of the standard texts and of the brand's own."""
    own = {next(chain(locale)) for locale in brand.texts or {}}
    return sorted({*standard_locales(), *own})


def text_rows(
    brand: Brand, *, channel: str, now: datetime, reasons: Sequence[str] = (), locales: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return a row for each reason and locale. Without ``reasons`` or ``locales``: for all of them."""
    return [
        _row(reason, Contact(brand.id, channel, SAMPLE_NUMBER), locale, brand, now)
        for reason in reasons or REASONS
        for locale in locales or locales_of(brand)
    ]


def _row(reason: str, contact: Contact, locale: str, brand: Brand, now: datetime) -> dict[str, Any]:
    wording = FluentWording(locale)(sample_input(reason, contact, locale=locale, brand=brand, now=now))
    return {
        "reason": reason,
        "locale": wording.locale,
        "text": wording.text,
        "characters": len(wording.text),
        "sms_segments": sms_segments(wording.text),
        "template": {"name": wording.template, "parameters": list(wording.parameters)},
        "is_own": wording.locale in stored_texts(brand, reason),
    }
