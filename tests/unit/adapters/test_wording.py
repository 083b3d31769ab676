"""The texts that people read: every reason in every language, in the right time zone, with values from outside."""

import re
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
from babel import Locale
from hypothesis import given, settings
from hypothesis import strategies as st

from reengage.adapters import wording_variables
from reengage.adapters.wording import FOLDER, FluentWording, WordingError, chain
from reengage.adapters.wording_variables import QUESTION, VARIABLES, Context, one_line
from reengage.domain.answers import Answer
from reengage.domain.brand import Brand
from reengage.domain.contact import CHANNELS
from reengage.domain.policy import PolicyInput, PolicySettings
from reengage.domain.questions import parse_payload
from reengage.ports import Wording
from tests.cases import each_of
from tests.docs.test_wording import LOCALES, SAMPLES, input_of

ACME: Final = Brand("acme-dental", name="Acme Dental")
TRIAL: Final = {"ends_at": "2031-10-22T14:00:00+00:00", "product": "Orbit Notes"}
APPOINTMENT: Final = {"starts_at": "2031-03-20T15:05:00+00:00", "timezone": "Europe/London"}
SHIPPED: Final = "order_shipped = { $brand }: on its way!\n    .template = shipped\n    .parameters = brand\n"


def text(reason: str, fields: dict[str, Any], default_locale: str = "en", folder: Path = FOLDER, **about: Any) -> str:
    return FluentWording(default_locale, folder)(input_of(reason, fields, **about)).text


# Whole texts

EXAMPLES: Final = {
    "en": {
        "appointment_reminder": (
            "Acme Dental: a reminder of your appointment on Wednesday, September 17, 2031 at 3:05 PM, "
            "Example Street 12, Hamburg. Check in online: https://acme.example/check-in/7Q2M4K9XB "
            "Reply 1 to confirm, 2 to cancel, 3 for another time."
        ),
        "appointment_moved": (
            "Acme Dental: your appointment has been moved to Wednesday, September 17, 2031 at 3:05 PM. "
            "Reply 1 to confirm, 2 to cancel, 3 for another time."
        ),
        "appointment_cancelled": (
            "Acme Dental: your appointment on Wednesday, September 17, 2031 at 3:05 PM has been cancelled."
        ),
        "online_check_in": (
            "Acme Dental: you can now check in online for your appointment on Wednesday, September 17, 2031 "
            "at 3:05 PM: https://acme.example/check-in/7Q2M4K9XB"
        ),
        "trial_follow_up": (
            "Acme Dental: your trial of Orbit Notes Professional ends on Wednesday, September 17, 2031. "
            "Would you like to keep it? https://orbit.example/upgrade?t=7Q2M4K9X Reply STOP to opt out."
        ),
        "product_reminder": (
            "Acme Dental: thank you for your interest in Trail Running Shoe, green. "
            "Would you like to take another look? https://shop.acme.example/p/trail-running Reply STOP to opt out."
        ),
        "cart_reminder": (
            "Acme Dental: still in your cart: Trail Running Shoe. You can complete your order here: "
            "https://shop.acme.example/cart/7Q2M4K9XB Reply STOP to opt out."
        ),
        "order_shipped": (
            "Acme Dental: your order has been shipped with Example Express. "
            "Track it here: https://track.example/t/00340434161094021501"
        ),
        "review_request": (
            "Acme Dental: we hope you are happy with your order. Would you tell us what you think of it? "
            "https://shop.acme.example/review/7Q2M4K9XB Reply STOP to opt out."
        ),
        "back_in_stock": (
            "Acme Dental: Trail Running Shoe, green is back in stock. https://shop.acme.example/p/trail-running "
            "Reply STOP to opt out."
        ),
        "product_preview": (
            "Acme Dental: a first look at The autumn collection 2031. https://shop.acme.example/autumn-2031 "
            "Reply STOP to opt out."
        ),
        "holiday_hours": (
            "Acme Dental: on Wednesday, December 24, 2031 we are open from 9:00 AM to 1:30 PM. Reply STOP to opt out."
        ),
        "welcome_back": "Acme Dental: welcome back, Ada! How can we help you?",
        "answer_reply": "Acme Dental: thank you, your answer has arrived.",
        "help_reply": "Acme Dental: just write to us here and we will help you. Reply STOP to opt out.",
    },
    "de": {
        "appointment_reminder": (
            "Acme Dental: Wir erinnern Sie an Ihren Termin am Mittwoch, 17. September 2031 um 15:05 Uhr, "
            "Example Street 12, Hamburg. Online einchecken: https://acme.example/check-in/7Q2M4K9XB "
            "Antworten Sie 1: Zusage, 2: Absage, 3: anderer Termin."
        ),
        "appointment_moved": (
            "Acme Dental: Ihr Termin wurde verschoben auf Mittwoch, 17. September 2031 um 15:05 Uhr. "
            "Antworten Sie 1: Zusage, 2: Absage, 3: anderer Termin."
        ),
        "appointment_cancelled": "Acme Dental: Ihr Termin am Mittwoch, 17. September 2031 um 15:05 Uhr wurde abgesagt.",
        "online_check_in": (
            "Acme Dental: Für Ihren Termin am Mittwoch, 17. September 2031 um 15:05 Uhr können Sie jetzt online "
            "einchecken: https://acme.example/check-in/7Q2M4K9XB"
        ),
        "trial_follow_up": (
            "Acme Dental: Ihre Testphase von Orbit Notes Professional endet am Mittwoch, 17. September 2031. "
            "Möchten Sie dabeibleiben? https://orbit.example/upgrade?t=7Q2M4K9X Abmelden mit STOP."
        ),
        "product_reminder": (
            "Acme Dental: Vielen Dank für Ihr Interesse an Trail Running Shoe, green. Möchten Sie noch einmal einen "
            "Blick darauf werfen? https://shop.acme.example/p/trail-running Abmelden mit STOP."
        ),
        "cart_reminder": (
            "Acme Dental: Noch in Ihrem Warenkorb: Trail Running Shoe. Hier können Sie Ihre Bestellung abschließen: "
            "https://shop.acme.example/cart/7Q2M4K9XB Abmelden mit STOP."
        ),
        "order_shipped": (
            "Acme Dental: Ihre Bestellung wurde mit Example Express versandt. "
            "Sendung verfolgen: https://track.example/t/00340434161094021501"
        ),
        "review_request": (
            "Acme Dental: Wir hoffen, Sie sind mit Ihrer Bestellung zufrieden. Möchten Sie uns Ihre Meinung dazu "
            "sagen? https://shop.acme.example/review/7Q2M4K9XB Abmelden mit STOP."
        ),
        "back_in_stock": (
            "Acme Dental: Trail Running Shoe, green ist wieder verfügbar. https://shop.acme.example/p/trail-running "
            "Abmelden mit STOP."
        ),
        "product_preview": (
            "Acme Dental: Ein erster Blick auf The autumn collection 2031. https://shop.acme.example/autumn-2031 "
            "Abmelden mit STOP."
        ),
        "holiday_hours": (
            "Acme Dental: Am Mittwoch, 24. Dezember 2031 haben wir von 09:00 bis 13:30 Uhr geöffnet. Abmelden mit STOP."
        ),
        "welcome_back": "Acme Dental: Willkommen zurück, Ada! Wie können wir Ihnen helfen?",
        "answer_reply": "Acme Dental: Danke, Ihre Antwort ist angekommen.",
        "help_reply": "Acme Dental: Schreiben Sie uns einfach hier, wir helfen Ihnen gern. Abmelden mit STOP.",
    },
    "vi": {
        "appointment_reminder": (
            "Acme Dental: nhắc bạn lịch hẹn lúc 15:05, Thứ Tư, 17 tháng 9, 2031, tại Example Street 12, Hamburg. "
            "Check-in: https://acme.example/check-in/7Q2M4K9XB "
            "Trả lời 1: xác nhận, 2: hủy, 3: đổi giờ."
        ),
        "appointment_moved": (
            "Acme Dental: lịch hẹn của bạn đã được dời sang 15:05, Thứ Tư, 17 tháng 9, 2031. "
            "Trả lời 1: xác nhận, 2: hủy, 3: đổi giờ."
        ),
        "appointment_cancelled": "Acme Dental: lịch hẹn của bạn lúc 15:05, Thứ Tư, 17 tháng 9, 2031 đã bị hủy.",
        "online_check_in": (
            "Acme Dental: bạn có thể check-in trực tuyến cho lịch hẹn lúc 15:05, Thứ Tư, 17 tháng 9, 2031 tại đây: "
            "https://acme.example/check-in/7Q2M4K9XB"
        ),
        "trial_follow_up": (
            "Acme Dental: bản dùng thử Orbit Notes Professional sẽ hết hạn vào Thứ Tư, 17 tháng 9, 2031. "
            "Bạn có muốn dùng tiếp không? https://orbit.example/upgrade?t=7Q2M4K9X Trả lời STOP để ngừng nhận tin."
        ),
        "product_reminder": (
            "Acme Dental: cảm ơn bạn đã quan tâm đến Trail Running Shoe, green. Bạn có muốn xem lại không? "
            "https://shop.acme.example/p/trail-running Trả lời STOP để ngừng nhận tin."
        ),
        "cart_reminder": (
            "Acme Dental: giỏ hàng của bạn vẫn còn: Trail Running Shoe. Bạn có thể hoàn tất đơn hàng tại đây: "
            "https://shop.acme.example/cart/7Q2M4K9XB Trả lời STOP để ngừng nhận tin."
        ),
        "order_shipped": (
            "Acme Dental: đơn hàng của bạn đã được gửi qua Example Express. "
            "Theo dõi đơn hàng: https://track.example/t/00340434161094021501"
        ),
        "review_request": (
            "Acme Dental: hy vọng bạn hài lòng với đơn hàng. Bạn có thể cho chúng tôi biết cảm nhận không? "
            "https://shop.acme.example/review/7Q2M4K9XB Trả lời STOP để ngừng nhận tin."
        ),
        "back_in_stock": (
            "Acme Dental: Trail Running Shoe, green đã có hàng trở lại. https://shop.acme.example/p/trail-running "
            "Trả lời STOP để ngừng nhận tin."
        ),
        "product_preview": (
            "Acme Dental: mời bạn xem trước The autumn collection 2031. https://shop.acme.example/autumn-2031 "
            "Trả lời STOP để ngừng nhận tin."
        ),
        "holiday_hours": (
            "Acme Dental: chúng tôi mở cửa từ 09:00 đến 13:30 vào Thứ Tư, 24 tháng 12, 2031. "
            "Trả lời STOP để ngừng nhận tin."
        ),
        "welcome_back": "Acme Dental: chào mừng Ada đã quay lại! Chúng tôi có thể giúp gì cho bạn?",
        "answer_reply": "Acme Dental: cảm ơn bạn, chúng tôi đã nhận được câu trả lời.",
        "help_reply": (
            "Acme Dental: bạn cần hỗ trợ? Hãy nhắn tin cho chúng tôi tại đây. Trả lời STOP để ngừng nhận tin."
        ),
    },
    "es": {
        "appointment_reminder": (
            "Acme Dental: le recordamos su cita: miércoles, 17 de septiembre de 2031, 15:05, "
            "Example Street 12, Hamburg. Check-in online: https://acme.example/check-in/7Q2M4K9XB "
            "Responda 1 para confirmar, 2 para cancelar, 3 para otra hora."
        ),
        "appointment_moved": (
            "Acme Dental: su cita se ha cambiado al miércoles, 17 de septiembre de 2031, 15:05. "
            "Responda 1 para confirmar, 2 para cancelar, 3 para otra hora."
        ),
        "appointment_cancelled": (
            "Acme Dental: su cita del miércoles, 17 de septiembre de 2031, 15:05, ha sido cancelada."
        ),
        "online_check_in": (
            "Acme Dental: ya puede hacer el check-in online para su cita del miércoles, 17 de septiembre de 2031, "
            "15:05: https://acme.example/check-in/7Q2M4K9XB"
        ),
        "trial_follow_up": (
            "Acme Dental: su prueba de Orbit Notes Professional termina el miércoles, 17 de septiembre de 2031. "
            "¿Desea continuar? https://orbit.example/upgrade?t=7Q2M4K9X Responda STOP para darse de baja."
        ),
        "product_reminder": (
            "Acme Dental: gracias por su interés en Trail Running Shoe, green. ¿Desea echarle otro vistazo? "
            "https://shop.acme.example/p/trail-running Responda STOP para darse de baja."
        ),
        "cart_reminder": (
            "Acme Dental: siguen en su carrito: Trail Running Shoe. Puede completar su pedido en "
            "https://shop.acme.example/cart/7Q2M4K9XB Responda STOP para darse de baja."
        ),
        "order_shipped": (
            "Acme Dental: su pedido ha sido enviado con Example Express. "
            "Seguimiento: https://track.example/t/00340434161094021501"
        ),
        "review_request": (
            "Acme Dental: esperamos que su pedido le haya gustado. ¿Nos cuenta qué le ha parecido? "
            "https://shop.acme.example/review/7Q2M4K9XB Responda STOP para darse de baja."
        ),
        "back_in_stock": (
            "Acme Dental: Trail Running Shoe, green vuelve a estar disponible. "
            "https://shop.acme.example/p/trail-running Responda STOP para darse de baja."
        ),
        "product_preview": (
            "Acme Dental: un primer vistazo a The autumn collection 2031. https://shop.acme.example/autumn-2031 "
            "Responda STOP para darse de baja."
        ),
        "holiday_hours": (
            "Acme Dental: el miércoles, 24 de diciembre de 2031 abrimos de 9:00 a 13:30. "
            "Responda STOP para darse de baja."
        ),
        "welcome_back": "Acme Dental: le damos la bienvenida de nuevo, Ada. ¿En qué podemos ayudarle?",
        "answer_reply": "Acme Dental: gracias, hemos recibido su respuesta.",
        "help_reply": (
            "Acme Dental: puede escribirnos por este medio y le ayudaremos. Responda STOP para darse de baja."
        ),
    },
    "fr": {
        "appointment_reminder": (
            "Acme Dental : nous vous rappelons votre rendez-vous du mercredi 17 septembre 2031 à 15:05, "
            "Example Street 12, Hamburg. Enregistrement en ligne : https://acme.example/check-in/7Q2M4K9XB "
            "Répondez 1 pour confirmer, 2 pour annuler, 3 pour un autre horaire."
        ),
        "appointment_moved": (
            "Acme Dental : votre rendez-vous a été déplacé au mercredi 17 septembre 2031 à 15:05. "
            "Répondez 1 pour confirmer, 2 pour annuler, 3 pour un autre horaire."
        ),
        "appointment_cancelled": (
            "Acme Dental : votre rendez-vous du mercredi 17 septembre 2031 à 15:05 a été annulé."
        ),
        "online_check_in": (
            "Acme Dental : vous pouvez dès maintenant vous enregistrer en ligne pour votre rendez-vous du mercredi "
            "17 septembre 2031 à 15:05 : https://acme.example/check-in/7Q2M4K9XB"
        ),
        "trial_follow_up": (
            "Acme Dental : votre essai Orbit Notes Professional prend fin le mercredi 17 septembre 2031. "
            "Souhaitez-vous continuer ? https://orbit.example/upgrade?t=7Q2M4K9X "
            "Répondez STOP pour vous désinscrire."
        ),
        "product_reminder": (
            "Acme Dental : merci de vous intéresser à Trail Running Shoe, green. Souhaitez-vous y revenir ? "
            "https://shop.acme.example/p/trail-running Répondez STOP pour vous désinscrire."
        ),
        "cart_reminder": (
            "Acme Dental : toujours dans votre panier : Trail Running Shoe. Vous pouvez finaliser votre commande ici : "
            "https://shop.acme.example/cart/7Q2M4K9XB Répondez STOP pour vous désinscrire."
        ),
        "order_shipped": (
            "Acme Dental : votre commande a été expédiée par Example Express. "
            "Suivi : https://track.example/t/00340434161094021501"
        ),
        "review_request": (
            "Acme Dental : nous espérons que votre commande vous a plu. Souhaitez-vous nous donner votre avis ? "
            "https://shop.acme.example/review/7Q2M4K9XB Répondez STOP pour vous désinscrire."
        ),
        "back_in_stock": (
            "Acme Dental : Trail Running Shoe, green est de nouveau disponible. "
            "https://shop.acme.example/p/trail-running Répondez STOP pour vous désinscrire."
        ),
        "product_preview": (
            "Acme Dental : découvrez en avant-première The autumn collection 2031. "
            "https://shop.acme.example/autumn-2031 Répondez STOP pour vous désinscrire."
        ),
        "holiday_hours": (
            "Acme Dental : le mercredi 24 décembre 2031, nous serons ouverts de 09:00 à 13:30. "
            "Répondez STOP pour vous désinscrire."
        ),
        "welcome_back": "Acme Dental : heureux de vous revoir, Ada ! Comment pouvons-nous vous aider ?",
        "answer_reply": "Acme Dental : merci, votre réponse est bien arrivée.",
        "help_reply": ("Acme Dental : écrivez-nous ici et nous vous aiderons. Répondez STOP pour vous désinscrire."),
    },
}


def full(reason: str) -> dict[str, Any]:
    """Return the first form of the sample, with all optional fields."""
    return {**SAMPLES[reason].given_fields[0], **SAMPLES[reason].optional}


@each_of(("locale", "reason"), list(product(EXAMPLES, SAMPLES)))
def test_a_whole_text(locale: str, reason: str) -> None:
    fields = full(reason)
    assert text(reason, fields, locale=locale, brand=ACME, display_name="Ada") == EXAMPLES[locale][reason]


@pytest.mark.parametrize(
    ("reason", "fields", "texts"),
    [
        (
            "order_shipped",
            {},
            {
                "en": "acme-dental: your order has been shipped.",
                "de": "acme-dental: Ihre Bestellung wurde versandt.",
                "vi": "acme-dental: đơn hàng của bạn đã được gửi đi.",
                "es": "acme-dental: su pedido ha sido enviado.",
                "fr": "acme-dental : votre commande a été expédiée.",
            },
        ),
        (
            "holiday_hours",
            {"date": "2031-12-25", "closed": True},
            {
                "en": "acme-dental: we are closed on Thursday, December 25, 2031.",
                "de": "acme-dental: Am Donnerstag, 25. Dezember 2031 haben wir geschlossen.",
                "vi": "acme-dental: chúng tôi nghỉ vào Thứ Năm, 25 tháng 12, 2031.",
                "es": "acme-dental: el jueves, 25 de diciembre de 2031 estaremos cerrados.",
                "fr": "acme-dental : nous serons fermés le jeudi 25 décembre 2031.",
            },
        ),
        (
            "welcome_back",
            {},
            {
                "en": "acme-dental: welcome back! How can we help you?",
                "de": "acme-dental: Willkommen zurück! Wie können wir Ihnen helfen?",
                "vi": "acme-dental: chào mừng bạn đã quay lại! Chúng tôi có thể giúp gì cho bạn?",
                "es": "acme-dental: le damos la bienvenida de nuevo. ¿En qué podemos ayudarle?",
                "fr": "acme-dental : heureux de vous revoir ! Comment pouvons-nous vous aider ?",
            },
        ),
        (
            "cart_reminder",
            {"items": 2, "cart_url": "https://a.example"},
            {
                "en": "acme-dental: there is still something in your cart. You can complete your order here: "
                "https://a.example",
                "de": "acme-dental: In Ihrem Warenkorb liegt noch etwas. Hier können Sie Ihre Bestellung abschließen: "
                "https://a.example",
                "vi": "acme-dental: giỏ hàng của bạn vẫn còn sản phẩm. Bạn có thể hoàn tất đơn hàng tại đây: "
                "https://a.example",
                "es": "acme-dental: ha dejado productos en su carrito. Puede completar su pedido en https://a.example",
                "fr": "acme-dental : votre panier contient encore des articles. Vous pouvez finaliser votre commande "
                "ici : https://a.example",
            },
        ),
        (
            "appointment_reminder",
            APPOINTMENT,
            {
                "en": "acme-dental: a reminder of your appointment on Thursday, March 20, 2031 at 3:05 PM. "
                "Reply 1 to confirm, 2 to cancel, 3 for another time.",
                "de": "acme-dental: Wir erinnern Sie an Ihren Termin am Donnerstag, 20. März 2031 um 15:05 Uhr. "
                "Antworten Sie 1: Zusage, 2: Absage, 3: anderer Termin.",
                "vi": "acme-dental: nhắc bạn lịch hẹn lúc 15:05, Thứ Năm, 20 tháng 3, 2031. "
                "Trả lời 1: xác nhận, 2: hủy, 3: đổi giờ.",
                "es": "acme-dental: le recordamos su cita: jueves, 20 de marzo de 2031, 15:05. "
                "Responda 1 para confirmar, 2 para cancelar, 3 para otra hora.",
                "fr": "acme-dental : nous vous rappelons votre rendez-vous du jeudi 20 mars 2031 à 15:05. "
                "Répondez 1 pour confirmer, 2 pour annuler, 3 pour un autre horaire.",
            },
        ),
    ],
)
def test_a_text_with_as_little_as_may_be(reason: str, fields: dict[str, Any], texts: dict[str, str]) -> None:
    assert {locale: text(reason, fields, locale=locale, channel="rcs") for locale in texts} == texts
    assert set(texts) == set(EXAMPLES)


@pytest.mark.parametrize(
    ("locale", "ended"),
    [
        ("en", "ended on"),
        ("de", "endete am"),
        ("vi", "đã hết hạn vào"),
        ("es", "ha terminado el"),
        ("fr", "a pris fin le"),
    ],
)
def test_a_trial_that_is_over_has_ended(locale: str, ended: str) -> None:
    ends_at = datetime.fromisoformat(TRIAL["ends_at"])
    assert ended in text("trial_follow_up", TRIAL, locale=locale, now=ends_at)
    assert ended not in text("trial_follow_up", TRIAL, locale=locale, now=ends_at - timedelta(seconds=1))


@pytest.mark.parametrize("locale", LOCALES)
def test_a_service_is_never_named(locale: str) -> None:
    """It may contain health data."""
    for reason in ("appointment_reminder", "online_check_in"):
        plain = full(reason)
        for service in ("Root canal", {"en": "Root canal", "de": "Wurzelbehandlung"}, ""):
            assert text(reason, plain | {"service": service}, locale=locale) == text(reason, plain, locale=locale)


STOP_HINTS: Final = {
    "en": "Reply STOP to opt out.",
    "de": "Abmelden mit STOP.",
    "vi": "ngừng nhận tin.",
    "es": "Responda STOP para darse de baja.",
    "fr": "Répondez STOP pour vous désinscrire.",
}


@each_of(("channel", "reason"), list(product(CHANNELS, SAMPLES)))
def test_stop_hint_is_added_to_the_right_messages(channel: str, reason: str) -> None:
    """Marketing on SMS has the hint, and so has the answer to HELP on any channel."""
    expected = reason == "help_reply" or (SAMPLES[reason].category == "marketing" and channel == "sms")
    for locale, stop in STOP_HINTS.items():
        worded = text(reason, full(reason), locale=locale, channel=channel)
        assert worded.endswith(f" {stop}") == ("STOP" in worded) == expected


@each_of(
    ("items", "shown"),
    [
        (["Shoe"], "cart: Shoe. You"),
        (["Shoe", "Jacket"], "cart: Shoe, Jacket. You"),
        (["Shoe", "Jacket", "Socks", "Hat"], "cart: Shoe, Jacket (+2). You"),
        ([{"name": "Shoe", "price": 90}, {"name": {"de": "Jacke", "en": "Jacket"}}], "cart: Shoe, Jacket. You"),
        (["Shoe", {"name": " "}, {"name": None}, 7, {"sku": "X-1", "note": "gift"}], "cart: Shoe (+4). You"),
        (["Shoe" * 20], f"cart: {('Shoe' * 20)[:37]}.... You"),
        ([{}, {"quantity": 2}, []], "something in your cart. You"),
        ([], "something in your cart. You"),
        (3, "something in your cart. You"),
        (None, "something in your cart. You"),
    ],
)
def test_what_is_in_the_cart(items: Any, shown: str) -> None:
    fields = {"items": items, "cart_url": "https://shop.example/c"}
    assert shown in text("cart_reminder", fields)


# The brand


def test_brand_without_name_uses_its_id() -> None:
    fields = full("order_shipped")
    for brand in (None, Brand("acme-dental"), Brand("acme-dental", name=" "), Brand("acme-dental", name={"en": ""})):
        assert text("order_shipped", fields, brand=brand).startswith("acme-dental: your order")


def test_a_brands_texts_in_many_languages() -> None:
    brand = Brand(
        "acme-dental",
        name={"en": "Acme Dental", "de": "Acme Zahnärzte"},
        help_text={"en": "Call +44 20 7946 0142.", "de": "Anrufen: +49 40 1234567."},
        stop_text={"en": "Text STOP to 60006.", "de": "STOP an 60006."},
    )
    assert text("help_reply", {}, brand=brand, locale="en-GB") == "Acme Dental: Call +44 20 7946 0142."
    assert text("help_reply", {}, brand=brand, locale="de") == "Acme Zahnärzte: Anrufen: +49 40 1234567."
    assert text("review_request", {}, brand=brand, locale="de").endswith("dazu sagen? STOP an 60006.")
    assert "STOP" not in text("review_request", {}, brand=brand, locale="de", channel="rcs")


def test_a_help_text_that_names_the_brand_names_it_once() -> None:
    brand = replace(ACME, help_text="ACME DENTAL answers your questions: help@acme.example. STOP ends this.")
    assert text("help_reply", {}, brand=brand) == brand.help_text


def test_default_help_uses_the_brands_stop_hint() -> None:
    assert text("help_reply", {}, brand=replace(ACME, stop_text="STOP: 60006"), channel="rcs").endswith(" STOP: 60006")


# Which language


@pytest.mark.parametrize(
    ("locales", "wanted"),
    [
        (("de-AT", "vi", "en"), "de-AT de vi en en"),
        ((None, None, "de_CH"), "de-CH de en"),
        (("ZH_hant_tw",), "zh-Hant-TW zh-Hant zh en"),
        (("DE-at", ""), "de-AT de en"),
        (("ca-ES-valencia",), "ca-ES-valencia ca-ES ca en"),
        (("../../etc", "de/../vi", "..", "e", "de.", "de-", "-de", "dé", "de\n"), "en"),
    ],
)
def test_the_chain(locales: tuple[str | None, ...], wanted: str) -> None:
    assert list(chain(*locales)) == wanted.split()


@each_of(
    ("persons", "brands", "default", "spoken"),
    [
        ("de-AT", None, "en", "de"),
        ("de_AT", "vi", "en", "de"),
        ("DE", None, "en", "de"),
        ("vi-VN", "de", "en", "vi"),
        ("en-GB", "vi", "de", "en"),
        ("ja", "vi-VN", "de", "vi"),
        ("ja", None, "de", "de"),
        ("pt-BR", "it", "de-CH", "de"),
        ("ja", None, "pt-BR", "en"),
        ("fr-CA", "de", "en", "fr"),
        ("es-419", None, "en", "es"),
        ("es_MX", "fr", "de", "es"),
        (None, "de_DE", "vi", "de"),
        (None, None, "de", "de"),
        (None, None, "ja", "en"),
    ],
)
def test_language_is_the_persons_brands_default_or_english(
    persons: str | None, brands: str | None, default: str, spoken: str
) -> None:
    case = input_of("trial_follow_up", TRIAL, locale=persons, brand=replace(ACME, locale=brands))
    assert FluentWording(default)(case).locale == spoken


def test_unknown_contact_gets_the_default_language() -> None:
    for reason in SAMPLES:
        case = replace(input_of(reason, full(reason)), profile=None)
        assert FluentWording("de")(case).locale == "de"


LOCALISED: Final = {"fr": "Pro FR", "vi": "Pro VI", "de": "Pro DE", "de_AT": "Pro AT", "en": "Pro EN"}


@each_of(
    ("names", "locale", "default", "chosen"),
    [
        (LOCALISED, "de-AT", "en", "Pro AT"),
        (LOCALISED, "DE_at", "en", "Pro AT"),
        (LOCALISED, "de-CH", "en", "Pro DE"),
        (LOCALISED, "fr-FR", "vi", "Pro FR"),
        (LOCALISED, "ja", "vi-VN", "Pro VI"),
        (LOCALISED, "ja", "pt", "Pro EN"),
        (LOCALISED, None, "de", "Pro DE"),
        ({"fr": "Pro FR", "pt": "Pro PT"}, "de", "en", "Pro FR"),
        ("Pro", "de", "en", "Pro"),
    ],
)
def test_a_name_in_many_languages(names: Any, locale: str | None, default: str, chosen: str) -> None:
    worded = FluentWording(default)(input_of("trial_follow_up", TRIAL | {"product": names}, locale=locale))
    assert f" {chosen} " in worded.text
    assert worded.parameters[1] == chosen


def test_a_place_in_many_languages() -> None:
    fields = APPOINTMENT | {"location": {"en": "Main Street", "de": "Hauptstraße"}}
    assert " Uhr, Hauptstraße. " in text("appointment_reminder", fields, locale="de-DE")
    assert ", tại Main Street. " in text("appointment_reminder", fields, locale="vi")


@each_of(
    ("locale", "shown"),
    [
        ("en", "on Wednesday, January 7, 2032 at 3:05 PM."),
        ("en-GB", "on Wednesday, 7 January 2032 at 15:05."),
        ("en-AU", "on Wednesday, 7 January 2032 at 3:05 pm."),
        ("en-ZZ", "on Wednesday, January 7, 2032 at 3:05 PM."),
        ("en-nowhere", "on Wednesday, January 7, 2032 at 3:05 PM."),
        ("de-AT", "am Mittwoch, 7. Jänner 2032 um 15:05 Uhr."),
        ("de_de", "am Mittwoch, 7. Januar 2032 um 15:05 Uhr."),
        ("en-CA", "on Wednesday, January 7, 2032 at 3:05 p.m."),
        ("es-AR", "cita: miércoles, 7 de enero de 2032, 3:05 p. m."),
        ("es", "cita: miércoles, 7 de enero de 2032, 15:05."),
        ("es-MX", "cita: miércoles, 7 de enero de 2032, 3:05 p.m."),
        ("es-US", "cita: miércoles, 7 de enero de 2032, 3:05 p.m."),
        ("fr", "du mercredi 7 janvier 2032 à 15:05."),
        ("fr-CA", "du mercredi 7 janvier 2032 à 15 h 05."),
    ],
)
def test_dates_as_the_region_writes_them(locale: str, shown: str) -> None:
    assert f" {shown} " in text(
        "appointment_reminder", {"starts_at": "2032-01-07T15:05:00Z", "timezone": "Africa/Abidjan"}, locale=locale
    )


def test_a_language_that_there_are_no_texts_in_writes_no_dates() -> None:
    assert " Thursday, March 20, 2031 " in text("appointment_reminder", APPOINTMENT, locale="pt-BR")


# Whose time

LATE_EVENING: Final = "2031-03-20T22:30:00-04:00"


@each_of("reason", ["appointment_reminder", "online_check_in"])
@each_of(
    ("starts_at", "place", "shown"),
    [
        (LATE_EVENING, "America/New_York", "Thursday, March 20, 2031 at 10:30 PM"),
        ("2031-03-21T02:30:00Z", "America/New_York", "Thursday, March 20, 2031 at 10:30 PM"),
        (LATE_EVENING, None, "Thursday, March 20, 2031 at 10:30 PM"),
        (LATE_EVENING, "Asia/Ho_Chi_Minh", "Friday, March 21, 2031 at 9:30 AM"),
        ("2031-07-01T10:00:00Z", "Europe/London", "Tuesday, July 1, 2031 at 11:00 AM"),
        (LATE_EVENING, "UTC", "Thursday, March 20, 2031 at 10:30 PM"),
    ],
)
def test_an_appointment_is_at_the_places_time(reason: str, starts_at: str, place: str | None, shown: str) -> None:
    fields = {"starts_at": starts_at, "check_in_url": "https://a.example"} | ({"timezone": place} if place else {})
    for person, brand in product((None, "Europe/Berlin", "Pacific/Auckland"), (None, "Asia/Tokyo")):
        assert f" {shown}" in text(reason, fields, zone=person, brand=replace(ACME, timezone=brand))


@pytest.mark.parametrize(
    ("person", "events", "brands", "day"),
    [
        (None, None, None, "Thursday, March 20, 2031"),
        (None, "Europe/Berlin", "America/New_York", "Friday, March 21, 2031"),
        ("America/New_York", "Europe/Berlin", "Asia/Tokyo", "Thursday, March 20, 2031"),
        ("Asia/Ho_Chi_Minh", None, "America/New_York", "Friday, March 21, 2031"),
        (None, None, "Asia/Tokyo", "Friday, March 21, 2031"),
    ],
)
def test_a_trial_ends_in_the_persons_time(person: str | None, events: str | None, brands: str | None, day: str) -> None:
    fields = TRIAL | {"ends_at": LATE_EVENING} | ({"timezone": events} if events else {})
    assert f" {day}." in text("trial_follow_up", fields, zone=person, brand=replace(ACME, timezone=brands))


def test_opening_hours_are_the_places_wherever_the_person_is() -> None:
    fields = {"date": "2031-12-24", "opens": "00:00", "closes": "23:30"}
    for zone in ("Pacific/Kiritimati", "America/Adak"):
        worded = text("holiday_hours", fields, zone=zone, locale="de")
        assert " Mittwoch, 24. Dezember 2031 haben wir von 00:00 bis 23:30 Uhr " in worded


# Texts from outside

HOSTILE: Final = (
    "{ $brand }",
    "{$channel}",
    "{ trial_follow_up }",
    "{ -term }",
    '{"x"}',
    "a = b .template = x",
    "# no comment",
    "*[other] {$date}",
    "{ $product -> *[a] b }",
    "%s %(brand)s {0} {}",
    "\\u0041 \\{",
    "<b>&amp;</b>",
)


@each_of("hostile", HOSTILE)
@each_of("locale", LOCALES)
def test_a_text_from_outside_is_data(hostile: str, locale: str) -> None:
    worded = FluentWording()(input_of("trial_follow_up", TRIAL | {"product": hostile}, locale=locale))
    plain = text("trial_follow_up", TRIAL | {"product": "PRODUCT"}, locale=locale)
    assert worded.text == plain.replace("PRODUCT", hostile)
    assert worded.parameters[1] == hostile
    placed = text("appointment_reminder", APPOINTMENT | {"location": hostile}, locale=locale)
    assert f" {hostile}. " in placed
    brand = Brand("acme-dental", name=hostile, stop_text=hostile)
    reviewed = text("review_request", {}, locale=locale, brand=brand)
    assert reviewed.removeprefix(hostile).lstrip().startswith(": ")
    assert reviewed.endswith(f" {hostile}")
    welcome = text("welcome_back", {}, locale=locale, display_name="NAME")
    assert text("welcome_back", {}, locale=locale, display_name=hostile) == welcome.replace("NAME", hostile)


@each_of(
    ("value", "shown"),
    [
        ("Orbit\r\n\r\n.template = x", "Orbit .template = x"),
        ("\tOrbit \u00a0\u202f\u3000 Notes\n", "Orbit Notes"),
        ("Orbit\x00\x1b[31m\x7f\x85Notes", "Orbit [31m Notes"),
        ("Orbit\u2028Notes\u2029Pro", "Orbit Notes Pro"),
        ("\u202eOrbit\u202c \u2066No\u200ftes\u2069\u061c\u200e", "Orbit Notes"),
        ("Orbit\ud800Notes", "Orbit Notes"),
        ("Cafe\u0301", "Café"),
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 77 + "..."),
        ("x" * 76 + " " + "y" * 900, "x" * 76 + "..."),
        (" \n\t", "-"),
        ("\u202e", "-"),
        ("", "-"),
        ({"en": " ", "de": "Orbit"}, "-"),
        ({}, "-"),
        (None, "-"),
        (7, "-"),
    ],
)
def test_a_name_becomes_one_plain_line(value: Any, shown: str) -> None:
    worded = FluentWording()(input_of("trial_follow_up", TRIAL | {"product": value}))
    assert worded.text.startswith(f"acme-dental: your trial of {shown} ends on ")
    assert worded.parameters[1] == shown
    assert worded.text.encode()


def test_what_may_be_left_out_and_shows_nothing_is_left_out() -> None:
    blank = "\u202e \n"
    assert text("appointment_reminder", APPOINTMENT | {"location": blank}) == text("appointment_reminder", APPOINTMENT)
    assert text("order_shipped", {"carrier": blank, "tracking_url": ""}) == text("order_shipped", {})
    assert text("welcome_back", {}, display_name=blank) == text("welcome_back", {})
    silent = Brand("acme-dental", name=blank, help_text=blank, stop_text=blank)
    for reason in ("help_reply", "review_request"):
        assert text(reason, {}, brand=silent) == text(reason, {})


def test_a_link_and_a_brands_own_text_stay_whole() -> None:
    url = "https://acme.example/" + "x" * 2000
    assert f" {url} " in text("back_in_stock", {"name": "Shoe", "url": url})
    assert text("help_reply", {}, brand=replace(ACME, help_text="Acme Dental " + "y" * 480)).endswith("y" * 480)
    assert text("review_request", {}, brand=replace(ACME, stop_text="STOP " + "y" * 400)).endswith("y" * 400)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.sampled_from(LOCALES))
def test_no_text_from_outside_breaks_a_text(outside: str, locale: str) -> None:
    worded = FluentWording()(input_of("back_in_stock", {"name": outside, "url": outside}, locale=locale, channel="rcs"))
    plain = FluentWording()(input_of("back_in_stock", {"name": "NAME", "url": "URL"}, locale=locale, channel="rcs"))
    name, url = worded.parameters[1], one_line(outside)
    expected = plain.text.replace("NAME", "\0").replace("URL", url).strip().replace("\0", name)
    assert worded.text == expected
    assert name
    assert len(name) <= 80
    assert worded.text.encode().decode().isprintable() or not outside.isprintable()


# A brand's own texts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "wording"))


def write(folder: Path, brand: str, locale: str, source: str) -> None:
    path = folder / "brands" / brand / f"{locale}.ftl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")


def test_brand_text_replaces_ours(folder: Path) -> None:
    write(folder, "acme-dental", "en", SHIPPED)
    wording = FluentWording(folder=folder)
    worded = wording(input_of("order_shipped", full("order_shipped"), brand=ACME))
    assert (worded.text, worded.locale) == ("Acme Dental: on its way!", "en")
    assert (worded.template, worded.parameters) == ("shipped", ("Acme Dental",))
    for case in (
        input_of("order_shipped", full("order_shipped"), locale="de"),
        input_of("order_shipped", full("order_shipped"), brand_id="acme-dental.2"),
        input_of("review_request", full("review_request")),
    ):
        assert wording(case) == FluentWording()(case)


def test_brand_fragment_is_in_every_text(folder: Path) -> None:
    write(folder, "acme-dental", "en", "how_to_stop = STOP to 60006.\n")
    assert text("review_request", {}, folder=folder).endswith("think of it? STOP to 60006.")
    assert text("review_request", {}, folder=folder, brand_id="other").endswith("think of it? Reply STOP to opt out.")


def test_a_brand_may_have_its_own_language(folder: Path) -> None:
    """A brand's own texts use its language; other texts use the next language of the chain."""
    write(folder, "acme-dental", "pt", SHIPPED.replace("on its way", "o pacote vai { $carrier }"))
    write(folder, "acme-dental", "de-AT", SHIPPED.replace("on its way", "Servus"))
    wording = FluentWording("de", folder)

    def spoken(reason: str, locale: str, brand_id: str = "acme-dental") -> tuple[str, str]:
        worded = wording(input_of(reason, full(reason), locale=locale, brand_id=brand_id))
        return worded.locale, worded.text.removeprefix(f"{brand_id}: ")[:14]

    assert spoken("order_shipped", "pt-BR") == ("pt", "o pacote vai E")
    assert spoken("order_shipped", "de_at") == ("de-AT", "Servus!")
    assert spoken("order_shipped", "de") == ("de", "Ihre Bestellun")
    assert spoken("review_request", "pt-BR") == ("de", "Wir hoffen, Si")
    assert spoken("review_request", "de-AT") == ("de", "Wir hoffen, Si")
    assert spoken("order_shipped", "pt", "other") == ("de", "Ihre Bestellun")


def test_brand_text_may_have_lines_and_its_own_template(folder: Path) -> None:
    source = """
order_shipped =
    { $brand }: shipped { $carrier } today.
    Thank you!
    .template = { $has_tracking_url ->
        [yes] shipped_with_link
       *[no] shipped
    }
    .parameters = { $has_tracking_url ->
        [yes] tracking_url brand
       *[no] brand
    }
"""
    write(folder, "acme-dental", "en", source)
    worded = FluentWording(folder=folder)(input_of("order_shipped", {"tracking_url": "https://t.example"}))
    assert worded.text == "acme-dental: shipped today.\nThank you!"
    assert (worded.template, worded.parameters) == ("shipped_with_link", ("https://t.example", "acme-dental"))
    assert FluentWording(folder=folder)(input_of("order_shipped", {})).parameters == ("acme-dental",)


@pytest.mark.parametrize("brand_id", ["..", ".", "", "../brands/acme-dental", "/etc", "a/b", "acme dental", "-x"])
def test_no_brand_id_is_a_path(folder: Path, brand_id: str) -> None:
    with pytest.raises(ValueError, match="expected 1 to 64 letters"):
        text("order_shipped", {}, folder=folder, brand_id=brand_id)


@pytest.mark.slow
def test_files_are_read_once(folder: Path) -> None:
    write(folder, "acme-dental", "en", SHIPPED)
    before = [text(reason, full(reason), folder=folder) for reason in SAMPLES]
    shutil.rmtree(folder)
    assert [text(reason, full(reason), folder=folder) for reason in SAMPLES] == before


# Templates

DATE: Final = "Wednesday, September 17, 2031"
CHECK_IN: Final = "https://acme.example/check-in/7Q2M4K9XB"


@each_of(
    ("reason", "fields", "template", "parameters"),
    [
        ("appointment_reminder", APPOINTMENT, "", ["Thursday, March 20, 2031", "3:05 PM"]),
        ("appointment_reminder", full("appointment_reminder"), "_check_in", [DATE, "3:05 PM", CHECK_IN]),
        ("online_check_in", full("online_check_in"), "", [DATE, "3:05 PM", CHECK_IN]),
        ("trial_follow_up", full("trial_follow_up"), "", ["Orbit Notes Professional", DATE]),
        ("product_reminder", full("product_reminder"), "", ["Trail Running Shoe, green"]),
        ("cart_reminder", full("cart_reminder"), "", ["https://shop.acme.example/cart/7Q2M4K9XB"]),
        ("order_shipped", full("order_shipped"), "", []),
        ("review_request", full("review_request"), "", []),
        ("back_in_stock", full("back_in_stock"), "", ["Trail Running Shoe, green"]),
        ("product_preview", full("product_preview"), "", ["The autumn collection 2031"]),
        ("holiday_hours", full("holiday_hours"), "", ["Wednesday, December 24, 2031", "9:00 AM", "1:30 PM"]),
        ("holiday_hours", {"date": "2031-12-25", "closed": True}, "_closed", ["Thursday, December 25, 2031"]),
        ("welcome_back", {}, "", []),
        ("help_reply", {}, "", []),
    ],
)
def test_a_template_and_its_parameters_in_order(
    reason: str, fields: dict[str, Any], template: str, parameters: list[str]
) -> None:
    worded = FluentWording()(input_of(reason, fields, brand=ACME))
    assert (worded.template, list(worded.parameters)) == (reason + template, ["Acme Dental", *parameters])


# Texts of ours that are at fault


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("reason", SAMPLES)
def test_a_missing_variable_is_an_error(locale: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = input_of(
        reason, full(reason), locale=locale, display_name="Ada", brand=replace(ACME, help_text="Acme Dental")
    )
    whole, values = FluentWording()(case), VARIABLES[reason](Context(case, [locale], Locale.parse(locale)))
    needed = set()
    for missing in values:
        fewer = {name: value for name, value in values.items() if name != missing}
        monkeypatch.setattr(wording_variables, "VARIABLES", {reason: lambda _, fewer=fewer: fewer})
        if error := fault(case):
            assert error.startswith(f"{locale}: {reason}")
            assert missing in error
            needed.add(missing)
    # The renderer itself fills in the question.
    assert needed >= {name for name, value in values.items() if value in whole.text and value != "no"} - {QUESTION}


def fault(case: PolicyInput) -> str:
    try:
        FluentWording()(case)
    except WordingError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (SHIPPED.replace("    .template = shipped\n", ""), "en: order_shipped: 'template' is missing"),
        (SHIPPED.replace("    .parameters = brand\n", ""), "en: order_shipped: 'parameters' is missing"),
        (SHIPPED.replace(" { $brand }: on its way!", ""), "en: order_shipped has no text"),
        (SHIPPED.replace("way", "{ nowhere }"), "en: order_shipped: Unknown message: nowhere"),
        (SHIPPED.replace("way", "{ -nowhere }"), "en: order_shipped: Unknown term: -nowhere"),
        (SHIPPED.replace("way", "{ order_shipped }"), "en: order_shipped: Cyclic reference"),
        (SHIPPED.replace("= brand", "= brand band"), "en: order_shipped.parameters: no such variable: band"),
    ],
)
def test_a_text_that_is_at_fault_is_an_error(folder: Path, source: str, error: str) -> None:
    write(folder, "acme-dental", "en", source)
    with pytest.raises(WordingError, match=f"^{re.escape(error)}$"):
        text("order_shipped", full("order_shipped"), folder=folder)


def test_a_reason_without_any_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WordingError, match=r"^order_shipped has no text in any of de-AT, de, en, en$"):
        text("order_shipped", {}, folder=tmp_path, locale="de-AT")


# The question of a reminder


OWN_QUESTION: Final = """question = Coming? 1 or 2
    .confirmed = Yes, I shall be there then
    .cancel_requested = No
    .reschedule_requested = {""}
"""


def asking(fields: dict[str, Any] = APPOINTMENT, folder: Path = FOLDER, **about: Any) -> Wording:
    return FluentWording(folder=folder)(input_of("appointment_reminder", fields, **about))


@pytest.mark.parametrize(
    ("locale", "labels"),
    [
        ("en", ["Confirm", "Cancel", "Another time"]),
        ("de", ["Zusagen", "Absagen", "Anderer Termin"]),
        ("vi", ["Xác nhận", "Hủy lịch hẹn", "Đổi giờ"]),
        ("es", ["Confirmar", "Cancelar", "Otra hora"]),
        ("fr", ["Confirmer", "Annuler", "Autre horaire"]),
    ],
)
def test_a_reminder_has_a_button_for_each_answer(locale: str, labels: list[str]) -> None:
    case = input_of("appointment_reminder", APPOINTMENT, locale=locale)
    worded = FluentWording()(case)
    assert [reply.label for reply in worded.replies] == labels
    payloads = [parse_payload(reply.payload) for reply in worded.replies]
    assert payloads == [(answer, case.message.scheduled_message_id) for answer in Answer]
    assert not worded.template_has_replies


@pytest.mark.parametrize("locale", LOCALES)
def test_no_question_has_the_word_cancel_in_capitals(locale: str) -> None:
    """Carriers treat an answer of CANCEL as STOP, so the question must not ask for it."""
    assert "CANCEL" not in asking(locale=locale).text


def test_a_brand_may_ask_nothing() -> None:
    worded = asking(brand=replace(ACME, ask_for_answers=False))
    assert worded.replies == ()
    assert worded.text.endswith("at 3:05 PM.")


@pytest.mark.parametrize(
    ("question", "end", "labels"),
    [
        ('question = {""}\n', "PM.", []),
        (
            OWN_QUESTION,
            "Coming? 1 or 2",
            ["Yes, I shall be ther", "No", "3"],
        ),
    ],
)
def test_a_brands_own_question(tmp_path: Path, question: str, end: str, labels: list[str]) -> None:
    shutil.copytree(FOLDER, tmp_path / "wording")
    own = tmp_path / "wording" / "brands" / "acme-dental" / "en.ftl"
    own.parent.mkdir(parents=True)
    own.write_text(question, encoding="utf-8")
    worded = asking(folder=tmp_path / "wording")
    assert worded.text.endswith(end)
    assert [reply.label for reply in worded.replies] == labels


def test_a_brands_text_without_the_question_has_no_buttons(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "wording")
    own = tmp_path / "wording" / "brands" / "acme-dental" / "en.ftl"
    own.parent.mkdir(parents=True)
    own.write_text("appointment_reminder = { $brand }: soon\n    .template = soon\n    .parameters = brand\n")
    assert asking(folder=tmp_path / "wording").replies == ()


@pytest.mark.parametrize("approved", [set(), {"appointment_reminder"}, {"appointment_reminder_answers"}])
def test_a_template_has_buttons_if_it_was_approved_so(approved: set[str]) -> None:
    settings = PolicySettings(whatsapp_templates=frozenset(approved))
    worded = FluentWording()(replace(input_of("appointment_reminder", APPOINTMENT), settings=settings))
    has_buttons = "appointment_reminder_answers" in approved
    assert worded.template == ("appointment_reminder_answers" if has_buttons else "appointment_reminder")
    assert worded.template_has_replies is has_buttons


@pytest.mark.parametrize("locale", LOCALES)
def test_each_answer_has_its_own_reply(locale: str) -> None:
    """A held reply no longer knows the answer, so its text must fit every answer."""
    case = input_of("answer_reply", {}, locale=locale)
    known = [{"answer": str(answer)} for answer in (*Answer, "several_open", "moved")]
    texts = [FluentWording()(replace(case, message=replace(case.message, facts=facts))).text for facts in ({}, *known)]
    assert len(set(texts)) == len(texts) - 1
    assert texts[-1] == texts[-2]


@pytest.mark.parametrize("locale", LOCALES)
def test_a_reply_to_one_yes_for_several_visits_counts_them(locale: str) -> None:
    """A mother confirmed three visits with "1", and read that her appointment was confirmed."""
    case = input_of("answer_reply", {}, locale=locale)

    def text(**facts: Any) -> str:
        return FluentWording()(replace(case, message=replace(case.message, facts={"answer": "confirmed"} | facts))).text

    assert " 3 " in text(count=3)
    assert "1" not in text()
