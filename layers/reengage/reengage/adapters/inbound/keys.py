"""The keys of the providers' secret, and the brands and accounts for which each is valid.

A value of the secret is one key, a list of keys, or an object of keys by name:

| name | the key is valid for |
|---|---|
| ``acme`` | calls about that brand |
| ``AC`` and 32 hex digits | calls with that ``AccountSid`` (Twilio) |
| ``acme/AC…`` | both |

A key without a name is valid for every brand. While a key is replaced, the former one can be ``<name>_previous``.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from .parsing import get

Secrets = Mapping[str, Any]

_ACCOUNT: Final = re.compile(r"AC[0-9a-fA-F]{32}", re.ASCII)


class Key(NamedTuple):
    """``brand`` and ``account`` are "" if the key is valid for all."""

    value: str
    brand: str = ""
    account: str = ""


def keys_of(secrets: Secrets, name: str) -> tuple[Key, ...]:
    """Return all valid keys of a name."""
    return tuple(key for each in (name, f"{name}_previous") for key in _keys(get(secrets, each)))


def _keys(value: Any) -> Iterator[Key]:
    if isinstance(value, Mapping):
        for name, keys in value.items():
            brand, account = _split(str(name))
            yield from (Key(key.value, brand, account) for key in _keys(keys) if not key.brand and not key.account)
    elif isinstance(value, list):
        yield from (Key(key) for key in value if isinstance(key, str) and key)
    elif isinstance(value, str) and value:
        yield Key(value)


def _split(name: str) -> tuple[str, str]:
    brand, _, account = name.rpartition("/")
    return (brand, account) if _ACCOUNT.fullmatch(account) else (name, "")
