"""No kernel touches memory outside its tensors: here that ends the process. Run by `test_triton`, interpreted only.

On a GPU, compute-sanitizer says the same of `triton_cases`.
"""

import pytest
from torch import Tensor

from atmnet.ops import _triton
from tests.ops.guard import guarded
from tests.ops.triton_cases import CASES, INTERPRETED, inputs

pytestmark = pytest.mark.skipif(not INTERPRETED, reason="guards memory of the CPU")


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("case", CASES[1:4], ids=str)
def test_nothing_outside_is_touched(case, at_end, monkeypatch):
    x, offset, grad = (guarded(tensor, at_end) for tensor in inputs(*case, reach=9.0))
    plain = Tensor.new_empty

    def new_empty(self, *size, **options):
        return guarded(plain(self, *size, **options), at_end)

    monkeypatch.setattr(Tensor, "new_empty", new_empty)
    _triton.sample(x, offset, *case[2:])
    _triton.sample_backward(grad, x, offset, case[2])
