"""Modules are replaced wherever a network holds them."""

from torch import nn

from atmnet.export.plain.visit import replace_modules


class Head(nn.Module):
    """Like the heads of transformers: registers its modules, and calls them from a list."""

    def __init__(self):
        super().__init__()
        self.layers = [nn.ReLU(), nn.Sequential(nn.ReLU())]
        for number, layer in enumerate(self.layers):
            self.add_module(str(number), layer)


def to_gelu(module):
    return nn.GELU() if isinstance(module, nn.ReLU) else module


def test_registered_listed_and_shared_modules():
    shared = nn.ReLU()
    network = nn.ModuleDict({"head": Head(), "first": shared, "second": shared})
    assert replace_modules(network, to_gelu) is network
    assert not any(isinstance(module, nn.ReLU) for module in network.modules())
    head = network["head"]
    assert head.layers[0] is head.get_submodule("0")
    assert isinstance(head.layers[1][0], nn.GELU)
    assert network["first"] is network["second"]
    assert isinstance(network["second"], nn.GELU)


def test_the_root_and_what_is_kept():
    assert isinstance(replace_modules(nn.ReLU(), to_gelu), nn.GELU)
    network = nn.Sequential(Head(), nn.ReLU())
    replace_modules(network, to_gelu, keep=(Head,))
    assert isinstance(network[0].layers[0], nn.ReLU)
    assert isinstance(network[1], nn.GELU)
