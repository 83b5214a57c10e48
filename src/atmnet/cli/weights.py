"""``atmnet weights``"""

from collections.abc import Callable

from atmnet.integrations.weights import export_weights, import_weights, list_weights, push_weights
from atmnet.models.store import LINKS, store_folder
from atmnet_cli.errors import UserError, refuse_options
from atmnet_cli.options import WeightsOptions
from atmnet_cli.printing import print_line, print_lines


def run(options: WeightsOptions) -> int:
    """Do what ``options.action`` names."""
    refused = {"import": ["private"], "list": ["tag", "private"], "export": ["tag", "private"], "push": ["tag"]}
    refuse_options(options, refused[options.action], f"'{options.action}'")
    _ACTIONS[options.action](options)
    return 0


def _import(options: WeightsOptions) -> None:
    files = _arguments(options, "FILE ...", low=1)
    for file in files:
        stored = import_weights(file, options.tag)
        print_line(
            f'{file} -> {stored.name}: timm.create_model("{stored.name}", pretrained=True); stored in {stored.folder}'
        )


def _list(options: WeightsOptions) -> None:
    _arguments(options, "nothing", high=0)
    print_line(f"{'weights':28} {'classes':>7} {'MB':>6}  where")
    present = list_weights()
    for each in present:
        origin = str(each.folder) if each.folder.parent == store_folder() else "comes with atmnet"
        print_line(f"{each.name:28} {each.classes or '-':>7} {each.size / 1e6:6.1f}  {origin}")
    missing = {name: link for name, link in LINKS.items() if name not in {each.name for each in present}}
    for name, link in missing.items():
        print_line(f"{name:28} {1000:>7} {'-':>6}  not here; the authors' link for a browser: {link}")
    if missing:
        print_lines("\nAfter downloading a file: atmnet weights import FILE")


def _export(options: WeightsOptions) -> None:
    name, folder = _arguments(options, "NAME FOLDER", low=2, high=2)
    export_weights(name, folder)
    print_line(f'{folder}: timm.create_model("local-dir:{folder}", pretrained=True)')


def _push(options: WeightsOptions) -> None:
    owner, *names = _arguments(options, "OWNER [NAME ...]", low=1)
    for url in push_weights(owner, names, private=options.private):
        print_line(url)
    print_line(f"with ATMNET_HUB={owner}, pretrained=True finds them there")


def _arguments(options: WeightsOptions, expected: str, low: int = 0, high: int | None = None) -> list[str]:
    count = len(options.arguments)
    if count < low or (high is not None and count > high):
        raise UserError(f"arguments: '{options.action}' got {count}, expected {expected}")
    return options.arguments


_ACTIONS: dict[str, Callable[[WeightsOptions], None]] = {
    "import": _import,
    "list": _list,
    "export": _export,
    "push": _push,
}
