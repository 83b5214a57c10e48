"""No test of other libraries may reach for a hub: what these load comes from folders, or not at all."""

import importlib
import socket

import pytest


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # Set too late for a library that has been imported: timm imports it with the first test.
    monkeypatch.setattr(importlib.import_module("huggingface_hub.constants"), "HF_HUB_OFFLINE", True)

    def refuse(self, address):
        raise AssertionError(f"a test wants to connect to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
