"""What every request passes before the app sees it: host, origin, password, path and size."""

import base64
import binascii
import contextlib
import hmac
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Names of this machine by which a server that only this machine reaches may be called.
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

#: What a browser needs of Gradio. All else of it is closed: its proxy, its history, its monitoring, its login.
_PATHS = ("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt", "/api/look", "/login_check")
_PREFIXES = (
    "/assets/", "/static/", "/explored/", "/gradio_api/info", "/gradio_api/queue/", "/gradio_api/upload",
    "/gradio_api/heartbeat/", "/gradio_api/file=", "/gradio_api/startup-events", "/gradio_api/cancel",
    "/gradio_api/reset", "/gradio_api/call/", "/gradio_api/theme.css", "/gradio_api/app_id", "/gradio_api/login_check",
)  # fmt: skip

#: Calls of the app's functions, whose JSON may name files, and the longest call.
_CALLS = ("/gradio_api/queue/join", "/gradio_api/call/")
_CALL_BYTES = 2**20

#: Where pictures are uploaded, and how many bytes of them there may be at a time.
_UPLOAD = "/gradio_api/upload"
_MAX_STORED = 2**31

#: A request may be larger than a picture by what its form adds.
_FORM_BYTES = 2**16

#: Of a request that is too large, so much is read and thrown away, since most clients read no answer before they have
#: sent all.
_DRAINED = 2**29

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; connect-src 'self' data: blob:; font-src 'self' data:; "
    "worker-src 'self' blob:; frame-ancestors 'self'; form-action 'self'; base-uri 'self'"
)

#: Headers of all answers that do not have their own.
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Gate:
    """An ASGI application around another one, which refuses what is not meant for it.

    Args:
        app: The application.
        loopback: Whether only this machine reaches the server. Then other host names are refused, too, since they come
            from pages of others that have their name point here.
        origins: Origins such as 'https://example.org' whose pages may send requests, besides the server's own.
        auth: 'USER:PASSWORD' that requests need; empty for none.
        max_bytes: Largest picture that a request may carry.
        uploads: Folder of the only files that a request may name.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        loopback: bool,
        origins: Sequence[str] = (),
        auth: str = "",
        max_bytes: int,
        uploads: Path,
    ) -> None:
        self._app, self._loopback, self._origins, self._auth = app, loopback, set(origins), auth
        self._uploads = uploads.resolve()
        self._max_bytes = max_bytes + _FORM_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        body = _Body(receive)
        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is None and scope["method"] == "POST" and scope["path"].startswith(_CALLS):
            content = await body.read(_CALL_BYTES)
            refusal = self._refusal_of_call(content)
            receive = _replay(content or b"", receive)
        else:
            receive = body.receive
        if refusal is None:
            refusal = await self._pass_on(scope, receive, send)
        if refusal is None:
            return
        await body.drain()
        status, text = refusal
        challenge = {"WWW-Authenticate": 'Basic realm="atmnet explore", charset="UTF-8"'} if status == 401 else None
        await JSONResponse({"error": text}, status, challenge)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Status and reason, if the request is refused."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._loopback and urlsplit(f"//{host}").hostname not in _LOOPBACK:
            return 403, f"host: got {host!r:.80}, expected this machine's name localhost; --host serves other names"
        if origin is not None and urlsplit(origin).netloc != host and origin not in self._origins:
            return 403, f"origin: {origin!r:.80} may not use this server; --origins allows it"
        preflight = scope["method"] == "OPTIONS" and origin in self._origins
        if self._auth and not preflight and not self._is_authorized(headers.get("authorization", "")):
            return 401, "authorization: expected the user and password of --auth"
        path = scope["path"]
        if ".." in path or not (path in _PATHS or path.startswith(_PREFIXES)):
            return 404, "path: there is nothing here"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._max_bytes:
            return 413, self._too_large()
        if scope["method"] == "POST" and path == _UPLOAD and self._stored() > _MAX_STORED:
            return 507, "there is no room for more pictures at the moment; try again later"
        return None

    def _stored(self) -> int:
        """Bytes of all uploaded files."""
        sizes = (file.stat().st_size for file in self._uploads.rglob("*") if file.is_file())
        with contextlib.suppress(OSError):  # a file went in the meantime
            return sum(sizes)
        return 0

    def _refusal_of_call(self, content: bytes | None) -> tuple[int, str] | None:
        """Status and reason, if a call of a function of the app is too long, no JSON, or names a file of the server."""
        if content is None:
            return 413, f"a call has at most {_CALL_BYTES // 2**20} MB; upload pictures first"
        try:
            paths = list(_paths(json.loads(content)))
        except (ValueError, RecursionError):
            return 400, "body: expected JSON"
        for path in paths:
            if not isinstance(path, str) or not self._is_upload(path):
                return 403, f"path: got {path!r:.80}, expected a picture that was uploaded here"
        return None

    def _is_upload(self, path: str) -> bool:
        try:
            return Path(path).is_absolute() and Path(path).resolve().is_relative_to(self._uploads)
        except (OSError, ValueError):
            return False

    def _too_large(self) -> str:
        return f"the request is too large; a picture has at most {(self._max_bytes - _FORM_BYTES) // 2**20} MB"

    def _is_authorized(self, header: str) -> bool:
        kind, _, value = header.partition(" ")
        try:
            given = base64.b64decode(value.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return kind.lower() == "basic" and hmac.compare_digest(given, self._auth.encode())

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> tuple[int, str] | None:
        """Run the application, which gets no more than the allowed bytes, and add headers to its answer.

        Status and reason are returned, if there were more bytes and the application has not begun to answer.
        """
        received, started = 0, False

        async def counted() -> Message:
            nonlocal received
            if received > self._max_bytes:
                return {"type": "http.disconnect"}
            message = await receive()
            received += len(message.get("body", b""))
            return {"type": "http.disconnect"} if received > self._max_bytes else message

        async def protected(message: Message) -> None:
            nonlocal started
            if received > self._max_bytes and not started:
                return  # what the application says of a client that it takes to be gone
            if message["type"] == "http.response.start":
                started = True
                added = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    added.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, counted, protected)
        except Exception:  # of any kind: the application was told that the client is gone, and 413 is answered below
            if received <= self._max_bytes:
                raise
        return (413, self._too_large()) if received > self._max_bytes and not started else None


def _paths(value: Any) -> Iterator[Any]:
    """All paths that a call names, at any depth."""
    if isinstance(value, dict):
        if value.get("path") is not None:
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _paths(item)


class _Body:
    """The body of a request, of which it is known whether all has come."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def receive(self) -> Message:
        """The next message."""
        message = await self._receive()
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def read(self, limit: int) -> bytes | None:
        """All of it; None if it is longer than ``limit``."""
        content = b""
        while not self._ended:
            content += (await self.receive()).get("body", b"")
            if len(content) > limit:
                return None
        return content

    async def drain(self) -> None:
        """Throw the rest away."""
        drained = 0
        while not self._ended and drained < _DRAINED:
            drained += len((await self.receive()).get("body", b""))


def _replay(content: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives ``content``, which was read before, and then what follows."""
    messages: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed
