"""Serves the app: an address of this machine, and a server that runs until it is stopped."""

import contextlib
import os
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from atmnet.explore.exploration import Explorer
from atmnet.explore.service import MAX_BYTES, Service
from atmnet_cli.errors import UserError, install

_TRIES = 100
"""Number of ports that are tried from the first one on."""


@dataclass(frozen=True)
class Address:
    """Where to serve, and to whom.

    Attributes:
        host: Address of an interface; '127.0.0.1' is reached only from this machine.
        port: The first port to try; 0 for any that is free.
        auth: 'USER:PASSWORD' that visitors need; empty for none.
        origins: Origins whose pages may send requests, such as 'https://example.org'.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    auth: str = ""
    origins: Sequence[str] = ()


def check_installed() -> None:
    """Raise a UserError that says what to install, if Gradio is missing. It is not imported, which takes seconds."""
    if find_spec("gradio") is None:
        raise UserError(f"explore: this needs Gradio, which is not installed: {install('explore')}")


@contextlib.contextmanager
def running(explorers: dict[str, Explorer], address: Address) -> Iterator[tuple[Any, str]]:
    """A server that is ready to run, with its URL. Uploads are deleted at the end.

    Raises:
        UserError: If no port is free.
    """
    # Gradio reads these when it is imported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    with tempfile.TemporaryDirectory(prefix="atmnet-explore-") as folder, _environment("GRADIO_TEMP_DIR", folder):
        import uvicorn
        from fastapi import FastAPI
        from starlette.middleware.cors import CORSMiddleware

        from atmnet.explore.api import add_routes
        from atmnet.explore.app import mount
        from atmnet.explore.examples import write_examples
        from atmnet.explore.gate import Gate

        listener = _listen(address.host, address.port)
        with contextlib.closing(listener):
            service = Service(explorers)
            first = next(iter(explorers.values()))
            examples = write_examples(first.network, Path(folder) / "examples")
            app = FastAPI(openapi_url=None)
            app.add_middleware(CORSMiddleware, allow_origins=list(address.origins), allow_methods=["GET", "POST"])
            add_routes(app, service)
            app = mount(service, examples, app)
            loopback = listener.getsockname()[0] in ("127.0.0.1", "::1")
            gate = Gate(
                app,
                loopback=loopback,
                origins=address.origins,
                auth=address.auth,
                max_bytes=MAX_BYTES,
                uploads=Path(folder),
            )
            config = uvicorn.Config(gate, log_level="warning", server_header=False, timeout_graceful_shutdown=2)
            yield _Server(uvicorn.Server(config), listener), _url(listener)


class _Server:
    """A server with its open socket."""

    def __init__(self, server: Any, listener: socket.socket) -> None:
        self._server, self._listener = server, listener

    def run(self) -> None:
        """Serve until :meth:`stop`, or until the process gets a signal."""
        self._server.run(sockets=[self._listener])

    def stop(self) -> None:
        """Let :meth:`run` return."""
        self._server.should_exit = True


def open_browser(url: str) -> None:
    """Open the page in a browser, if this machine has one with a screen, while the server starts."""
    with contextlib.suppress(webbrowser.Error):
        browser = webbrowser.get()
        threading.Thread(target=browser.open, args=(url,), daemon=True).start()


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket at the first free port."""
    last: OSError | None = None
    for candidate in range(port, min(port + _TRIES, 65_536)) if port else [0]:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, candidate), family=family, backlog=256)
        except OSError as error:
            last = error
            if isinstance(error, socket.gaierror):
                break
            continue
        return listener
    raise UserError(
        f"host, port: cannot listen at {host}:{port}: {last.strerror if last else 'no such port'}"
    ) from last


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """An environment variable for the time of a block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
