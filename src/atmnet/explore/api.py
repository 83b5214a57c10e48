"""The routes beside Gradio's: numbers for programs, and the pages that the app shows and saves."""

import anyio
import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import HTMLResponse, JSONResponse, Response

from atmnet.explore.page import explored_page
from atmnet.explore.service import MAX_BYTES, MAX_WAITING, Service, Upload
from atmnet.files import to_json
from atmnet_cli.errors import UserError

_PATIENCE = 60.0
"""Seconds that a request waits for its turn."""

#: A page runs its own script and saves files; it has an origin of its own, and reaches neither the app nor the network.
_SANDBOX = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; frame-ancestors 'self'"
)


def add_routes(app: FastAPI, service: Service) -> None:
    """Add ``POST /api/look``, and ``GET /explored/TOKEN/...`` for what the app shows."""
    first = next(iter(service.explorers))
    turn = anyio.Semaphore(1)
    waiting = 0

    @app.post("/api/look")
    async def look(
        request: Request,
        x: float = 0.5,
        y: float = 0.5,
        size: int | None = None,
        model: str = first,
        name: str = "picture",
        traced: int | None = None,
        every_token: bool = False,
    ) -> Response:
        nonlocal waiting
        if request.headers.get("content-type", "").startswith("multipart/"):
            return _error(415, "body: got a form, expected the content of a picture's file")
        content = await request.body()
        if not content:
            return _error(400, "body: got nothing, expected the content of a picture's file")
        if len(content) > MAX_BYTES:
            return _error(413, f"body: {len(content) / 2**20:.1f} MB; a picture has at most {MAX_BYTES // 2**20} MB")
        if waiting >= MAX_WAITING:
            return _error(503, f"{waiting} requests are waiting; try again later")

        def compute() -> str:
            (exploration,) = service.explore([Upload(content, name[:200])], [model], size)
            return to_json(exploration.record(x, y, traced=traced, every_token=every_token))

        waiting += 1
        try:
            with anyio.move_on_after(_PATIENCE) as limit:
                await turn.acquire()
        finally:
            waiting -= 1
        if limit.cancelled_caught:
            return _error(503, f"no turn within {_PATIENCE:.0f} seconds; try again later")
        try:
            return Response(await anyio.to_thread.run_sync(compute), media_type="application/json")
        except UserError as error:
            return _error(400, str(error))
        finally:
            turn.release()

    @app.exception_handler(RequestValidationError)
    async def refuse(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return _error(400, f"{first['loc'][-1]}: got {str(first.get('input'))!r:.80}, {first['msg'].lower()}")

    @app.get("/explored/{token}/{what}")
    def explored(token: str, what: str) -> Response:
        explorations = service.kept(token)
        if explorations is None or what not in ("frame", "page.html", "numbers.json"):
            return _error(404, "path: this result is no longer kept; explore the picture again")
        if what == "numbers.json":
            records = [exploration.record(every_token=True) for exploration in explorations]
            return Response(to_json(records), media_type="application/json", headers=_attachment(what))
        headers = {"Content-Security-Policy": _SANDBOX}
        if what == "page.html":
            headers |= _attachment(what)
        return HTMLResponse(explored_page(explorations, bare=what == "frame"), headers=headers)


def _error(status: int, text: str) -> JSONResponse:
    return JSONResponse({"error": text}, status)


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
