"""Folding the mixing matrices of ATM into one per image changes the order of the arithmetic and nothing else."""

import copy
import itertools
import math
from collections import defaultdict

import pytest
import torch
from torch import Tensor, nn

from atmnet.layers import ATM
from tests.models.build import build
from tests.ops.compilers import COMPILERS
from tests.ops.oracle import offsets

WIDE, FLOAT, BRAIN = torch.float64, torch.float32, torch.bfloat16
C = 16
# More tokens than (A + 1) C, and fewer.
GRIDS = [(61,), (7,), (9, 11), (4, 5), (5, 4, 6), (2, 3, 4)]


class Problem:
    """A layer whose every parameter counts, tokens, offsets and an upstream gradient."""

    def __init__(self, grid: tuple[int, ...], dtype: torch.dtype, ragged: bool = False, batch: int = 3) -> None:
        axes = len(grid)
        self.layer = ATM(C, axes, dtype=dtype)
        with torch.no_grad():
            for parameter in self.layer.parameters():
                parameter.normal_(std=C**-0.5)
        self.x = torch.randn(batch, *grid, C).to(dtype)
        self.offset = offsets(batch, *grid, axes * C // 2, dtype=dtype if dtype == WIDE else FLOAT)
        self.upstream = torch.randn(batch, *grid, C).to(dtype)
        self.mask = None
        if ragged:
            self.mask = torch.zeros(batch, *grid, dtype=torch.bool)
            for i in range(batch):
                corner = tuple(slice(-(-n * (i + 1) // batch)) for n in grid)
                self.mask[i][corner] = True
            self.upstream[~self.mask] = 0  # what comes out there is not defined

    def double(self) -> "Problem":
        """The same numbers in float64."""
        other = copy.deepcopy(self)
        other.layer.double()
        other.x, other.offset, other.upstream = self.x.double(), self.offset.double(), self.upstream.double()
        return other

    def run(self, fold: bool) -> dict[str, Tensor]:
        """The output and every gradient."""
        self.layer.fold = fold
        x, offset = self.x.clone().requires_grad_(), self.offset.clone().requires_grad_()
        out = self.layer(x, offset, self.mask)
        wanted = {"x": x, "offset": offset, **dict(self.layer.named_parameters())}
        grads = torch.autograd.grad(out, list(wanted.values()), self.upstream.to(out.dtype))
        if self.mask is not None:
            out = out[self.mask]
        return {"out": out.detach(), **dict(zip(wanted, grads, strict=True))}


def error(result: Tensor, right: Tensor) -> float:
    """Relative, by norms."""
    return ((result.double() - right.double()).norm() / right.double().norm()).item()


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_float64(grid, ragged):
    problem = Problem(grid, WIDE, ragged)
    plain, folded = problem.run(False), problem.run(True)
    for name, right in plain.items():
        assert error(folded[name], right) <= 1e-12, name


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_float32(grid, ragged):
    problem = Problem(grid, FLOAT, ragged)
    plain, folded, exact = problem.run(False), problem.run(True), problem.double().run(False)
    for name, right in plain.items():
        # The fusion's first layer is given small differences of large numbers: plain itself is off by more than this.
        allowed = 2e-6 + name.startswith("fusion.fc1") * 2 * error(right, exact[name])
        assert error(folded[name], right) <= allowed, name


def further(autocast: bool) -> dict[str, float]:
    """How many times as far from float64 as plain folded is, in bfloat16, for each result where it is further.

    The geometric mean over many layers; what is within a twentieth is chance.
    """
    logs: dict[str, list[float]] = defaultdict(list)
    for grid, _ in itertools.product(GRIDS, range(20)):
        problem = Problem(grid, FLOAT if autocast else BRAIN, batch=2)
        exact = problem.double().run(False)
        with torch.autocast("cpu", BRAIN, enabled=autocast):
            plain, folded = problem.run(False), problem.run(True)
        for name, right in exact.items():
            logs[name].append(math.log(error(folded[name], right) / error(plain[name], right)))
    ratios = {name: math.exp(sum(values) / len(values)) for name, values in logs.items()}
    return {name: ratio for name, ratio in ratios.items() if ratio > 1.05}


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_is_no_further_from_float64(autocast):
    assert further(autocast) == {}


@pytest.fixture
def forms(monkeypatch):
    """Names of the forms that are taken, in order."""
    taken: list[str] = []
    for name in ("_forward_plain", "_forward_folded"):
        form = getattr(ATM, name)
        monkeypatch.setattr(ATM, name, lambda *args, form=form, name=name: (taken.append(name), form(*args))[1])
    return taken


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_it_folds_from_as_many_tokens_as_the_docstring_says(axes, forms):
    """K * C; how many images there are, and along which axis the tokens lie, does not count."""
    layer, least = ATM(4, axes), 4 * (axes + 1)
    assert layer.fold is None
    for tokens, expected in (
        (least - 1, "_forward_plain"),
        (least, "_forward_folded"),
        (1, "_forward_plain"),
        (100, "_forward_folded"),
    ):
        for batch in (1, 5):
            for grid in ((tokens, *[1] * (axes - 1)), (*[1] * (axes - 1), tokens)):
                layer(torch.randn(batch, *grid, 4), torch.zeros(batch, *grid, axes * 2))
                assert forms.pop() == expected


@pytest.mark.parametrize("fold", [False, True])
def test_it_can_be_asked_for(fold, forms):
    layer = ATM(4)
    layer.fold = fold
    for size in (1, 10):
        layer(torch.randn(1, size, size, 4), torch.zeros(1, size, size, 4))
    assert forms == ["_forward_folded" if fold else "_forward_plain"] * 2


@pytest.mark.filterwarnings("ignore:`torch.jit", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("way", ["export", "trace"])
def test_other_runtimes_get_the_plain_form(way, monkeypatch):
    problem = Problem((9, 11), FLOAT)
    expected = problem.run(True)["out"]
    args = problem.x, problem.offset
    monkeypatch.setattr(ATM, "_forward_folded", None)
    if way == "export":
        other = torch.export.export(problem.layer, args).module()
    else:
        other = torch.jit.trace(problem.layer, args, check_trace=False)
    torch.testing.assert_close(other(*args), expected)


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("fold", [None, False, True])
def test_torchscript_takes_the_form_that_eager_takes(fold):
    problem = Problem((9, 11), FLOAT)
    problem.layer.fold = fold
    scripted = torch.jit.script(problem.layer)
    with torch.no_grad():
        assert torch.equal(scripted(problem.x, problem.offset), problem.layer(problem.x, problem.offset))


@pytest.mark.parametrize("fold", [False, True])
def test_compiles_without_a_break(fold):
    same_when_compiled("aot_eager", fold)


@pytest.mark.slow
@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("compiler", COMPILERS[1:])
def test_compiles_to_machine_code(compiler, fold):
    same_when_compiled(compiler, fold)


def same_when_compiled(compiler: str, fold: bool) -> None:
    problem = Problem((9, 11), WIDE)
    expected = problem.run(fold)
    torch.compiler.reset()
    problem.layer.compile(backend=compiler, fullgraph=True)
    for name, result in problem.run(fold).items():
        assert error(result, expected[name]) <= 1e-12, name


@pytest.mark.parametrize(("dtype", "bound"), [(WIDE, 1e-12), (FLOAT, 2e-6)], ids=str)
def test_whole_model(dtype, bound):
    model: nn.Module = build().to(dtype)
    layers = [module for module in model.modules() if isinstance(module, ATM)]
    assert layers
    logits = []
    for fold in (False, True):
        for layer in layers:
            layer.fold = fold
        with torch.no_grad():
            logits.append(model(torch.randn(3, 3, 64, 48, generator=torch.Generator().manual_seed(0)).to(dtype)))
    assert error(*logits) <= bound


def test_what_watches_or_replaces_a_linear_is_called(forms):
    """The fold reads weights alone."""

    class Twice(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    x, offset = torch.randn(1, 10, 10, 4), torch.zeros(1, 10, 10, 4)
    layer = ATM(4)
    seen = []
    handle = layer.proj.register_forward_hook(lambda module, args, out: seen.append(out))
    layer(x, offset)
    assert len(seen) == 1
    handle.remove()
    layer(x, offset)
    layer.along[0] = Twice(4, 4)
    layer(x, offset)
    assert forms == ["_forward_plain", "_forward_folded", "_forward_plain"]
