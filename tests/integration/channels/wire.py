"""A local HTTP server that behaves as a provider does, or misbehaves; and a message to send through it."""

import ipaddress
import json
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Event, Thread
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reengage.adapters.channels.http import Http
from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage
from reengage.domain.policy import Action, Decision
from reengage.domain.routes import Route, Routes
from reengage.domain.subject import SubjectRef
from reengage.ports import OutboundMessage, Wording

NOON: Final = datetime(2031, 3, 19, 12, tzinfo=UTC)
BRAND: Final = "acme-dental"
ADDRESS: Final = "+447700900187"
TEXT: Final = "Nhắc bạn & nhớ: 12:00"


def clock() -> datetime:
    return NOON


def patient(**changes: Any) -> Http:
    """Return a client with time-outs that suit a busy machine; it trusts only the test's own certificates."""
    settings: dict[str, Any] = {"connect": 4, "read": 5, "total_timeout": 6, **changes}
    return Http(**{"context": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), **settings})


def hasty(**changes: Any) -> Http:
    """Timeouts that a test can wait for, once it is connected."""
    return patient(**{"read": 0.3, "total_timeout": 0.7} | changes)


def routes(channel: str, provider: str, sender_id: str) -> Routes:
    return Routes((Route(BRAND, channel, provider, sender_id),))


def outbound(channel: str = "whatsapp", address: str = ADDRESS, **changes: Any) -> OutboundMessage:
    """Return a reminder to send at ``NOON``; free text is allowed for an hour, and it is valid for two."""
    message = ScheduledMessage(
        contact=Contact(BRAND, channel, address),
        reason="appointment_reminder",
        subject=SubjectRef(BRAND, "appointment", "A-1"),
        offset="PT2H",
        anchor_at=NOON + timedelta(hours=2),
        due_at=NOON,
        valid_until=NOON + timedelta(hours=2),
        version=1,
    )
    return replace(
        OutboundMessage(
            message=message,
            wording=Wording(TEXT, "vi", "appointment_reminder", ("Acme Dental", "12:00")),
            data={"appointment_id": "A-1", "location": {"vi": "Số 12"}},
            decision=Decision(Action.SEND, None, {}),
            free_text_until=NOON + timedelta(hours=1),
            start_before=NOON + timedelta(minutes=1),
            deliver_before=NOON + timedelta(hours=2),
        ),
        **changes,
    )


@dataclass(frozen=True, slots=True)
class Request:
    """A received request. Names of headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


Behaviour = Callable[["Server", socket.socket], None]


@dataclass(slots=True)
class Server:
    """Behave as ``behaves`` defines once a request is read; ``unread``: before that. ``over`` ends every wait."""

    url: str
    behaves: Behaviour
    unread: bool = False
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    over: Event = field(default_factory=Event)

    def answers(self, status: int, body: Any = b"", headers: Mapping[str, str] | None = None) -> None:
        self.behaves = answer(status, body, headers)

    @property
    def request(self) -> Request:
        """Return the only request."""
        (request,) = self.requests
        return request


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            server.connections += 1
            connection = self.connection
            if tls:
                try:
                    connection = tls.wrap_socket(connection, server_side=True)
                except OSError:  # the other side does not trust us
                    return
            with connection:
                try:
                    if not server.unread:
                        server.requests.append(_read(connection))
                    server.behaves(server, connection)
                except OSError:  # the other side has gone
                    return

    ThreadingTCPServer.daemon_threads = True
    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as listening:
        port = listening.server_address[1]
        server = Server(f"{'https' if tls else 'http'}://127.0.0.1:{port}", answer(500))
        thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            listening.shutdown()
            thread.join()


def _read(connection: socket.socket) -> Request:
    came = b""
    while b"\r\n\r\n" not in came:
        came += _more(connection)
    head, _, body = came.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += _more(connection)
    method, target, _ = first.split(" ")
    return Request(method, target, headers, body)


def _more(connection: socket.socket) -> bytes:
    more = connection.recv(65536)
    if not more:
        raise ConnectionError("half a request")
    return more


def written(status: int, body: Any = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Write a whole response; a ``body`` that is not bytes is written as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    all_headers = {"Content-Length": str(len(content)), **(headers or {})}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in all_headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def answer(status: int, body: Any = b"", headers: Mapping[str, str] | None = None) -> Behaviour:
    return sends_bytes(written(status, body, headers))


def sends_bytes(total_timeout: bytes) -> Behaviour:
    """Write these bytes, and close the connection."""
    return lambda _, connection: connection.sendall(total_timeout)


def is_silent(server: Server, _: socket.socket) -> None:
    server.over.wait(5)


def stops_after(part: bytes) -> Behaviour:
    """Write these bytes, then nothing, and keep the connection open."""

    def behave(server: Server, connection: socket.socket) -> None:
        connection.sendall(part)
        server.over.wait(5)

    return behave


def drips(total_timeout: bytes, *, pause: float = 0.05) -> Behaviour:
    """Write byte by byte, so that no single read takes long."""

    def behave(server: Server, connection: socket.socket) -> None:
        for byte in total_timeout:
            connection.sendall(bytes([byte]))
            if server.over.wait(pause):
                return

    return behave


def resets(server: Server, connection: socket.socket) -> None:
    """Reset the TCP connection instead of closing it, after the client has sent something."""
    if server.unread:
        connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextmanager
def full() -> Iterator[str]:
    """Yield the URL of a listener whose queue is full: connecting never ends."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting: Sequence[socket.socket] = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for each in waiting:
            each.close()


@contextmanager
def closed_port() -> Iterator[str]:
    """Yield a URL that refuses connections."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}"


def certified(folder: Path, host: str = "127.0.0.1") -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's TLS context for that address, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(public, private)
    return server, ssl.create_default_context(cafile=str(public))
