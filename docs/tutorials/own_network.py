# %% [markdown]
# # ATM in your own network
#
# The layers of `atmnet.layers` take tokens with the channels last and any number of axes, so they fit into networks
# that are not image classifiers. This tutorial puts them into a network for sequences, then into one for images and
# one for videos.
#
# ## The operator
#
# Everything rests on one operation: each token reads each group of channels at a position of its own along an axis.

# %%
import torch
from torch import nn

from atmnet.layers import ATM, OffsetPredictor, Stage
from atmnet.ops import sample_along

torch.manual_seed(0)
x = torch.tensor([0.0, 10.0, 20.0, 30.0]).reshape(1, 4, 1)
offset = torch.tensor([1.0, 0.5, -1.0, 5.0]).reshape(1, 4, 1)  # in tokens; beyond the end is zero
print(sample_along(x, offset, dim=1).flatten().tolist())

# %% [markdown]
# ## A sequence
#
# The task: each token carries a number and a flag. Where the flag is set, the output is the number three tokens to
# the left, elsewhere the number three tokens to the right. A token that only knows itself cannot do this, and neither
# can a fixed convolution of width 3.
#
# `Stage` stacks blocks (ATM, then an MLP) and predicts the offsets. `axes=1` makes it one for sequences.


# %%
class SequenceNetwork(nn.Module):
    def __init__(self, dim: int = 32) -> None:
        super().__init__()
        self.embed = nn.Linear(2, dim)
        self.stage = Stage(dim, depth=4, axes=1, share=4)
        self.head = nn.Linear(dim, 1)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return self.head(self.stage(self.embed(x), mask)).squeeze(-1)


def make_batch(size: int = 32, length: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    number, flag = torch.randn(size, length), torch.randint(0, 2, (size, length))
    left, right = torch.roll(number, 3, dims=1), torch.roll(number, -3, dims=1)
    left[:, :3], right[:, -3:] = 0, 0
    return torch.stack([number, flag.float()], dim=-1), torch.where(flag == 1, left, right)


network = SequenceNetwork()
optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
for step in range(120):
    batch, target = make_batch()
    loss = nn.functional.mse_loss(network(batch), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 30 == 0 or step == 119:
        print(f"step {step:3d}: mean squared error {loss.item():.3f}")

# %% [markdown]
# The numbers have a variance of 1, so that a network which answers zero has an error near 1.

# %%
assert loss.item() < 0.3

# %% [markdown]
# ### Sequences of different lengths
#
# A padding mask (true for real tokens) makes the result of each sequence independent of the padding:

# %%
short, _ = make_batch(1, length=10)
padded = torch.cat([short, torch.full((1, 14, 2), 99.0)], dim=1)
mask = (torch.arange(24) < 10)[None]
network.eval()
with torch.no_grad():
    difference = (network(padded, mask)[:, :10] - network(short)).abs().max().item()
print(f"largest difference: {difference:.1e}")
assert difference < 1e-4

# %% [markdown]
# ## Images
#
# `ATM` mixes tokens where another network has an attention or a depthwise convolution. It takes its offsets as an
# argument, so that several layers can share those of one `OffsetPredictor`.


# %%
class Mixer(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.offset = OffsetPredictor(dim, share=4)
        self.mix = ATM(dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, H, W, C)
        return x + self.mix(self.norm(x), self.offset(x))


tokens = torch.randn(2, 14, 17, 64)
print(Mixer(64)(tokens).shape)

# %% [markdown]
# ## Videos
#
# With three axes the layer samples along time, too: the offsets are displacements in frames, rows and columns.

# %%
video = torch.randn(1, 8, 14, 14, 64)  # 8 frames
offsets = OffsetPredictor(64, share=4, axes=3)(video)
print(offsets.shape)  # 16 groups for each of the three axes
print(ATM(64, axes=3)(video, offsets).shape)

# %% [markdown]
# The layers compile (`torch.compile(fullgraph=True)`), export, and run on CPUs and GPUs; [the
# operator](../operator.md) says what is guaranteed, and the [reference](../reference/atmnet.layers.md) has all
# arguments.
