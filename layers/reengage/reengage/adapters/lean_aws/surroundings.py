"""Region, credentials and endpoints, as Lambda's environment has them.

botocore reads many more sources, which takes 40 ms for the first client and 100 ms to import. If one of those is in
use, ``read_surroundings`` returns nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from os.path import expanduser, isfile
from typing import Final
from urllib.parse import urlsplit

import botocore

OTHER_SOURCES: Final = (
    # Of credentials
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    # Of endpoints and signatures
    "AWS_ACCOUNT_ID",
    "AWS_AUTH_SCHEME_PREFERENCE",
    "AWS_DATA_PATH",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    # Of the way to them; botocore reads small and capital letters
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
)
"""Variables that only botocore understands."""

FILES: Final = {
    "AWS_CONFIG_FILE": "~/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
}
"""Files that only botocore understands: the variable that names each, and its usual place."""

SUFFIXES: Final = (
    (r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+", "amazonaws.com"),
    (r"us-gov-\w+-\d+", "amazonaws.com"),
    (r"cn-\w+-\d+", "amazonaws.com.cn"),
)
"""The domain of the endpoints by the region's name (botocore, ``data/partitions.json``)."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service in JSON. ``name`` begins its endpoint, and is signed. ``target`` comes before the operation."""

    name: str
    target: str
    json_version: str
    endpoint_variable: str


SERVICES: Final[Mapping[str, Service]] = {
    "dynamodb": Service("dynamodb", "DynamoDB_20120810", "1.0", "AWS_ENDPOINT_URL_DYNAMODB"),
    "events": Service("events", "AWSEvents", "1.1", "AWS_ENDPOINT_URL_EVENTBRIDGE"),
    "pinpoint-sms-voice-v2": Service(
        "sms-voice", "PinpointSMSVoiceV2", "1.0", "AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2"
    ),
    "secretsmanager": Service("secretsmanager", "secretsmanager", "1.1", "AWS_ENDPOINT_URL_SECRETS_MANAGER"),
    "sqs": Service("sqs", "AmazonSQS", "1.0", "AWS_ENDPOINT_URL_SQS"),
}
"""By botocore's names (its ``service-2.json``, ``metadata``)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of the function's role. Lambda starts another environment before they expire."""

    access_key: str
    secret_key: str
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What requests to AWS need. ``certificates``: the file of those that are trusted."""

    region: str
    credentials: Credentials
    certificates: str
    suffix: str
    endpoints: Mapping[str, str]

    def url(self, service: Service) -> str:
        """Return the endpoint, which may be configured for the service or for all."""
        configured = self.endpoints.get(service.endpoint_variable) or self.endpoints.get("AWS_ENDPOINT_URL")
        return f"{configured or f'https://{service.name}.{self.region}.{self.suffix}'}".rstrip("/")


def read_surroundings(environ: Mapping[str, str]) -> Surroundings | None:
    """Return what the variables define; nothing if botocore must find it."""
    region = environ.get("AWS_DEFAULT_REGION") or ""
    suffix, credentials = _suffix(region), _credentials(environ)
    endpoints = {name: url for name, url in environ.items() if name.startswith("AWS_ENDPOINT_URL") and url}
    if suffix is None or credentials is None or _is_for_botocore(environ, endpoints):
        return None
    return Surroundings(
        region=region,
        credentials=credentials,
        certificates=certificates(environ.get("AWS_CA_BUNDLE")),
        suffix=suffix,
        endpoints=endpoints,
    )


def certificates(ca_bundle: str | None) -> str:
    """Return the file of certificates that clients of AWS trust: ``ca_bundle``, or else botocore's."""
    return ca_bundle or f"{botocore.__path__[0]}/cacert.pem"


def _suffix(region: str) -> str | None:
    return next((suffix for pattern, suffix in SUFFIXES if re.fullmatch(pattern, region)), None)


def _credentials(environ: Mapping[str, str]) -> Credentials | None:
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    return Credentials(key, secret, environ.get("AWS_SESSION_TOKEN") or None) if key and secret else None


def _is_for_botocore(environ: Mapping[str, str], endpoints: Mapping[str, str]) -> bool:
    if any(environ.get(name) for name in OTHER_SOURCES) or not all(map(_is_plain, endpoints.values())):
        return True
    files = (environ.get(name) or usual for name, usual in FILES.items())
    return any(isfile(expanduser(file)) for file in files)  # noqa: PTH111, PTH113 - pathlib takes 3 ms to import


def _is_plain(url: str) -> bool:
    """Return whether it is a host with or without a port, over HTTP or HTTPS, and nothing else."""
    parts = urlsplit(url)
    rest = (parts.path.rstrip("/"), parts.query, parts.fragment, parts.username)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not any(rest)
