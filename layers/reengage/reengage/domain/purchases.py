"""What a person bought: it ends the reminders of carts and products that began before."""

from collections.abc import Sequence
from typing import Final

from .contact import Contact
from .reasons import Reason
from .subject import Subject, SubjectRef

KIND: Final = "purchase"
ID: Final = "all"
"""A contact has one subject for all purchases."""

ANY_CART: Final = "cart"
ANY_PRODUCT: Final = "product"


def purchases_of(contact: Contact) -> SubjectRef:
    """Return the reference of the subject that holds the person's purchases, whichever channel they came by."""
    return SubjectRef.known_to(contact, KIND, ID)


def purchase_fields(product_ids: Sequence[str] | None) -> dict[str, bool]:
    """Return the fields of a purchase: carts, and the named products, or all products if the event names no product."""
    products = [ANY_PRODUCT] if product_ids is None else [f"{ANY_PRODUCT}:{product_id}" for product_id in product_ids]
    return dict.fromkeys([ANY_CART, *products], True)


def is_bought(purchases: Subject | None, subject: Subject | None, reason: Reason) -> bool:
    """Return whether the person bought at or after the newest event of the cart or product."""
    if not reason.ended_by_purchase or purchases is None or subject is None or reason.track not in subject.tracks:
        return False
    fields = purchases.tracks[KIND].fields
    names = (ANY_CART,) if reason.kind == "cart" else (ANY_PRODUCT, f"{ANY_PRODUCT}:{subject.ref.id}")
    return any(fields[name].version >= subject.tracks[reason.track].version for name in names if name in fields)
