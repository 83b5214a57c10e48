"""``atmnet explore``"""

from pathlib import Path
from urllib.parse import urlsplit

from atmnet.cli.checkpoint_note import note_checkpoint
from atmnet.explore import Explorer
from atmnet.explore.server import Address, check_installed, open_browser, running
from atmnet.predictions import Predictor
from atmnet.tasks import load_task
from atmnet_cli.errors import UserError, check_minimums, first_line
from atmnet_cli.options import ExploreOptions
from atmnet_cli.printing import print_line


def run(options: ExploreOptions) -> int:
    """Serve the app until it is stopped by Ctrl-C."""
    check_minimums(options, {"port": 0})
    check_installed()
    address = Address(options.host, options.port, _auth(options.auth), _origins(options.origins))
    if options.beside_weights and not options.beside:
        raise UserError("beside_weights: these are for the second model; name it by --beside, or leave them out")
    explorers = {}
    for label, model, weights in (("A", options.model, options.weights), ("B", options.beside, options.beside_weights)):
        if model:
            explorer = Explorer(Predictor(load_task(model, weights), options.device))
            note_checkpoint(model)
            if options.beside:
                explorer.name = f"{label}: {explorer.name}"
            explorers[explorer.name] = explorer
    with running(explorers, address) as (server, url):
        print_line(f"explore at {url} (stop by Ctrl-C)")
        if options.open:
            open_browser(url)
        server.run()
    return 0


def _auth(value: str) -> str:
    """'USER:PASSWORD', which '@FILE' reads from a file."""
    if value.startswith("@"):
        try:
            value = Path(value[1:]).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise UserError(f"auth: {value}: cannot be read: {first_line(error)}") from error
    if value and not all(value.partition(":")[::2]):
        raise UserError("auth: expected USER:PASSWORD, or @FILE with a file that contains it")
    return value


def _origins(values: list[str]) -> list[str]:
    for value in values:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or value != f"{parts.scheme}://{parts.netloc}" or not parts.netloc:
            raise UserError(
                f"origins: got {value!r}, expected a scheme, a host and perhaps a port: https://example.org"
            )
    return values
