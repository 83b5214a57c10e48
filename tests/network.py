"""A loopback server that counts requests, for tests in which nothing may be fetched."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Server:
    """Where it is, and the paths that were asked for."""

    url: str
    requests: list[str] = field(default_factory=list)


@contextmanager
def counting_server() -> Iterator[Server]:
    """A server on 127.0.0.1 that answers 404."""
    counted = Server("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            counted.requests.append(self.path)
            self.send_error(404)

        do_HEAD = do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        counted.url = f"http://127.0.0.1:{server.server_port}/weights.pth"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield counted
        finally:
            server.shutdown()
            thread.join()
