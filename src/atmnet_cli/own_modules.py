"""Modules of users that register models with timm."""

import importlib
import os

from atmnet_cli.errors import UserError, first_line

VARIABLE = "ATMNET_MODULES"
"""The environment variable that names them, separated by commas. Processes that a command starts inherit it."""


def import_own_modules() -> None:
    """Import the modules that ``ATMNET_MODULES`` names, so that commands know the models that they register with timm.

    Raises:
        UserError: If one cannot be imported.
    """
    for name in os.environ.get(VARIABLE, "").split(","):
        if name.strip():
            try:
                importlib.import_module(name.strip())
            except Exception as error:  # the module is a user's
                raise UserError(
                    f"{VARIABLE}: {name.strip()}: {first_line(error)}; expected names of modules that Python finds "
                    "(set PYTHONPATH to their folder), separated by commas"
                ) from error
