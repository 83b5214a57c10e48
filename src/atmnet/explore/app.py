"""The web app: Gradio's uploads, queue and examples around the report's viewer."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from atmnet.explore.service import MAX_WAITING, Service, Upload
from atmnet.explore.sizes import LARGEST, SMALLEST
from atmnet_cli.errors import UserError

_HEIGHT = 1100
"""Height of the frame in pixels until its page says its own."""

_SWEEP = (60, 3600)
"""Seconds between searches for old files, and the age of these; files of visitors who leave go at once."""

_TITLE = "Where networks look"

_STYLE = """
.gradio-container { max-width: 110rem !important; }
.explored-links { display: flex; flex-wrap: wrap; gap: .4rem 1.4rem; margin: 0 0 .8rem; }
footer { display: none !important; }
@media (max-width: 40rem) { .gradio-container main { padding: .8rem .5rem !important; } }
"""

#: The frame becomes as high as its page, which is the only one that may say so.
_FOLLOW_HEIGHT = """
window.addEventListener("message", (event) => {
  for (const frame of element.querySelectorAll("iframe")) {
    const height = Number(event.data && event.data.height);
    const isHeight = event.source === frame.contentWindow && height > 0 && height < 50000;
    if (isHeight) frame.style.height = Math.ceil(height) + "px";
  }
});
"""


class Visitors:
    """The files of visitors, which are deleted when they leave.

    Args:
        service: What keeps their results.
        shared: Files that stay, such as the examples.
    """

    def __init__(self, service: Service, shared: set[Path]) -> None:
        self._service, self._shared = service, shared
        self._files: dict[str, set[Path]] = defaultdict(set)
        self._lock = threading.Lock()

    def note(self, visitor: str, uploads: Sequence[Upload]) -> None:
        """Remember files of a visitor."""
        with self._lock:
            self._files[visitor] |= {upload.file for upload in uploads if isinstance(upload.file, Path)}

    def leave(self, visitor: str) -> None:
        """Delete what a visitor uploaded, and their result."""
        self._service.forget(visitor)
        with self._lock:
            files = self._files.pop(visitor, set())
            used = self._shared.union(*self._files.values())  # the same picture has the same file
        for path in files - used:
            path.unlink(missing_ok=True)


def build_app(service: Service, examples: Sequence[Path]) -> gr.Blocks:
    """The app for :func:`gradio.mount_gradio_app`.

    Args:
        service: What computes.
        examples: Pictures to begin with; the first is shown at once.
    """
    names = list(service.explorers)
    sizes = [explorer.default_size for explorer in service.explorers.values()]
    with gr.Blocks(title=_TITLE, analytics_enabled=False, delete_cache=_SWEEP) as app:
        gr.Markdown(f"# {_TITLE}")
        with gr.Row():
            with gr.Column(scale=1, min_width=260):
                first = str(examples[0]) if examples else None
                picture = _picture("Picture", first)
                if examples:
                    gr.Examples([[str(path)] for path in examples], [picture], label="Examples")
                models = gr.CheckboxGroup(names, value=names, label="Models", visible=len(names) > 1)
                size = gr.Slider(
                    min(SMALLEST, *sizes), max(LARGEST, *sizes), sizes[0], step=1, label="Size in pixels",
                    info="Side of a classifier's picture, else its shorter side; networks take any size.",
                    interactive=any(explorer.takes_any_size for explorer in service.explorers.values()),
                )  # fmt: skip
                with gr.Accordion("A second picture", open=False):
                    second = _picture("Second picture", None)
            with gr.Column(scale=4, min_width=320):
                result = gr.HTML(label="Result", js_on_load=_FOLLOW_HEIGHT, elem_id="result")

        kept = (path for block in app.blocks.values() for path in getattr(block, "keep_in_cache", ()))
        visitors = Visitors(service, {Path(path).resolve() for path in kept})

        def explore(
            one: Upload | None, other: Upload | None, pixels: float, chosen: list[str], request: gr.Request
        ) -> str:
            uploads = [upload for upload in (one, other) if upload is not None]
            if not uploads:
                return "<p>Upload, paste or photograph a picture, or choose an example.</p>"
            visitor = str(request.session_hash)
            visitors.note(visitor, uploads)
            # A slider that was not moved leaves each model at its own size.
            other_size = None if int(pixels) == sizes[0] else int(pixels)
            try:
                explorations = service.explore(uploads, chosen, other_size)
            except UserError as error:
                raise gr.Error(escape(str(error)), title="This cannot be explored") from error
            return _frame(service.keep(visitor, explorations))

        inputs = [picture, second, size, models]
        changes = [picture.change, second.change, size.change, models.change, app.load]
        gr.on(
            changes, explore, inputs, result, api_name=False, concurrency_limit=1, concurrency_id="explore",
            trigger_mode="always_last", show_progress="full",
        )  # fmt: skip

        def leave(request: gr.Request) -> None:
            visitors.leave(str(request.session_hash))

        app.unload(leave)
    app.queue(max_size=MAX_WAITING)
    return app


def _picture(label: str, value: str | None) -> gr.Image:
    """An input of pictures, which hands on the file as it was uploaded, so that limits come before decoding."""
    component = gr.Image(
        value, label=label, sources=["upload", "webcam", "clipboard"], type="filepath", image_mode=None, height=260
    )
    component.preprocess = _as_upload  # Gradio's own decodes; for a subclass, Gradio would write a file beside this one
    return component


def _as_upload(payload: Any) -> Upload | None:
    if payload is None:
        return None
    if not payload.path:
        raise gr.Error("picture: expected one that was uploaded here")
    path = Path(payload.path).resolve()
    return Upload(path, payload.orig_name or path.name)


def _frame(token: str) -> str:
    """The viewer, and what can be taken away."""
    return (
        f'<p class="explored-links"><a download="page.html" href="explored/{token}/page.html">Save this page</a>'
        f'<a download="numbers.json" href="explored/{token}/numbers.json">Save the numbers (JSON)</a></p>'
        f'<iframe title="Where the network looks" sandbox="allow-scripts allow-downloads" src="explored/{token}/frame" '
        f'style="width:100%;height:{_HEIGHT}px;border:0;color-scheme:light dark"></iframe>'
    )


def mount(service: Service, examples: Sequence[Path], parent: Any) -> Any:
    """Mount the app at the root of ``parent``, a FastAPI application, without any service of others."""
    app = build_app(service, examples)
    app.has_launched = True  # else Gradio does not check which files a request names
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    theme.set(block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_400")
    return gr.mount_gradio_app(
        parent, app, "/", theme=theme,
        css=_STYLE, footer_links=[], run_history=False, ssr_mode=False, mcp_server=False, pwa=False,
        enable_monitoring=False, show_error=True, max_file_size="20mb",
    )  # fmt: skip
