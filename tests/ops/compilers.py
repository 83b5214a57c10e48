"""Back ends of torch.compile that this machine can run."""

import os
import shutil

import pytest

_NAMES = (os.environ.get("CXX"), "g++", "clang++", "c++")

COMPILERS = [
    "aot_eager",
    pytest.param(
        "inductor",
        marks=pytest.mark.skipif(
            not any(name and shutil.which(name) for name in _NAMES), reason="inductor needs a C++ compiler"
        ),
    ),
]
