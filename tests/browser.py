"""The system's Chromium, for tests of pages; they are skipped without one."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def chromium() -> Iterator[Any]:
    """Playwright's browser."""
    sync_api = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def watched(
    browser: Any, allowed: tuple[str, ...], ignore: tuple[str, ...] = (), **options: Any
) -> tuple[Any, list[str]]:
    """A new page, and what goes wrong on it: errors, warnings, and requests to addresses that are not ``allowed``.

    Args:
        browser: The browser.
        allowed: Beginnings of addresses. All other requests are aborted, as without a network.
        ignore: Messages on the console that are not problems.
        options: As for Playwright's ``new_page``.
    """
    page = browser.new_page(**options)
    problems: list[str] = []
    page.on("console", lambda message: problems.extend({message.text} - set(ignore)))
    page.on("pageerror", lambda error: problems.append(str(error)))

    def handle(route: Any) -> None:
        if route.request.url.startswith(allowed):
            route.continue_()
        else:
            problems.append(route.request.url)
            route.abort()

    page.route("**", handle)
    return page, problems
