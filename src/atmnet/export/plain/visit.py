"""Replace modules anywhere in a network."""

from collections.abc import Callable

from torch import nn


def replace_modules(
    root: nn.Module, replacement: Callable[[nn.Module], nn.Module], keep: tuple[type[nn.Module], ...] = ()
) -> nn.Module:
    """A network in which every module is replaced, ``root`` included.

    A module is replaced before the modules in it. The heads of transformers also hold their modules in plain lists,
    which they iterate over in the forward pass: these lists get the same replacements.

    Args:
        root: The network; changed in place.
        replacement: A module -> the module to put in its place, which may be the same one, changed in place or not.
        keep: Types of modules that stay as they are, with all that is in them.

    Returns:
        What takes the place of ``root``.
    """
    replaced: dict[nn.Module, nn.Module] = {}

    def visit(module: nn.Module) -> nn.Module:
        if module in replaced:
            return replaced[module]
        if isinstance(module, keep):
            replaced[module] = module
            return module
        new = replaced[module] = replacement(module)
        replaced[new] = new
        for name, child in list(new._modules.items()):  # named_children would skip a child's second name
            if child is not None:
                setattr(new, name, visit(child))
        for value in vars(new).values():
            if isinstance(value, list):
                value[:] = [visit(item) if isinstance(item, nn.Module) else item for item in value]
        return new

    return visit(root)
