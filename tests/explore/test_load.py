"""Many visitors at once with good and bad pictures: right answers, clear refusals, no crash, and memory comes back."""

import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections import Counter

import pytest

pytest.importorskip("gradio")

from tests.explore.served import App, served
from tests.explore.uploads import UPLOADS

pytestmark = pytest.mark.slow

_HUGE = 200 * 2**20
#: What is said of a visitor whose turn does not come.
_BUSY = "try again later"


def _post(url: str, content: bytes) -> tuple[int, dict]:
    request = urllib.request.Request(url, content, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=200) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def _visit(app: App, seed: int, until: float, expected: dict, outcomes: Counter, problems: list[str]) -> None:
    choose = random.Random(seed)
    while time.monotonic() < until:
        name = choose.choice([*UPLOADS, "huge.png"] if seed % 20 == 0 else [*UPLOADS])
        content, error = (bytes(_HUGE), "the request is too large") if name == "huge.png" else UPLOADS[name]
        try:
            status, answer = _post(f"{app.url}/api/look?name={name}", content)
        except Exception as failure:  # whatever it is, it is not an answer
            problems.append(f"{name}: {failure!r}")
            continue
        text = answer.get("error", "")
        if status == 503 and _BUSY in text:
            outcomes["busy"] += 1
        elif error is None and (status, answer) == (200, expected[name]):
            outcomes["right"] += 1
        elif error is not None and status in (400, 413) and error in text and "\n" not in text:
            outcomes["refused"] += 1
        else:
            problems.append(f"{name}: {status} {str(answer)[:200]}")


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("clients", "seconds"), [(8, 5), (100, 120)])
def test_visitors(tmp_path, clients, seconds):
    with served(tmp_path / "tmp") as app:
        expected = {}
        for _ in range(3):  # the first ones load what stays loaded
            for name, (content, error) in UPLOADS.items():
                status, answer = _post(f"{app.url}/api/look?name={name}", content)
                assert (status == 200) == (error is None)
                expected[name] = answer
        before = app.memory()
        outcomes: Counter = Counter()
        problems: list[str] = []
        until = time.monotonic() + seconds
        threads = [
            threading.Thread(target=_visit, args=(app, seed, until, expected, outcomes, problems))
            for seed in range(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        assert outcomes["right"] >= 5
        assert outcomes["refused"] >= 5
        assert app.process.poll() is None
        assert app.log == []
        deadline = time.monotonic() + 30
        while app.memory() > 1.1 * before and time.monotonic() < deadline:
            time.sleep(1)
        grown = app.memory() / before
        print(f"{clients} clients, {seconds} s: {dict(outcomes)}, memory {grown:.3f} of {before / 2**20:.0f} MB")
        assert grown <= 1.1
