# %% [markdown]
# # Look inside
#
# Each token of an ATM layer predicts where it reads. These positions are ordinary tensors, which you can print, draw
# and study. The package contains a small network for handwritten digits, so that nothing has to be downloaded.

# %%
import torch

import atmnet
from atmnet.data import DigitsReader

predictor = atmnet.load("atmnet_nano.digits", device="cpu")
digits = DigitsReader("val")
picture, digit = digits[3]
print(f"the digit {digit}:{predictor(picture).text}")

# %% [markdown]
# ## How far does it look?
#
# `looks` runs the network on a picture and returns the offsets of each group of blocks: `width` along the row and
# `height` along the column, (B, H, W, G) in tokens of that stage, for G groups of channels.

# %%
looks = predictor.looks(picture)
for look in looks:
    height, width, groups = look.width.shape[1:]
    row, column = look.width.abs().mean().item(), look.height.abs().mean().item()
    print(f"{look.name}: {height}x{width} tokens, {groups} groups; mean distance {row:.2f} and {column:.2f}")

# %% [markdown]
# ## One token, drawn
#
# Orange arcs are groups of channels that read along the row, blue ones along the column. The white square is the
# token.

# %%
import matplotlib.pyplot as plt
import numpy as np

look = looks[0]
height, width = look.width.shape[1:3]
size = picture.width / width  # pixels of a token
token = (height // 2, width // 2)


def centre(position: float) -> float:
    return (position + 0.5) * size - 0.5


figure, axes = plt.subplots(figsize=(5, 5))
axes.imshow(np.asarray(picture.convert("L")), cmap="gray")
start = np.array([centre(token[1]), centre(token[0])])
for offsets, direction, colour in ((look.width, (1, 0), "tab:orange"), (look.height, (0, 1), "tab:blue")):
    for offset in offsets[0, token[0], token[1]].tolist():
        end = start + np.array(direction) * offset * size
        axes.annotate(
            "", end, start, arrowprops={"arrowstyle": "->", "color": colour, "connectionstyle": "arc3,rad=0.4"}
        )
axes.add_patch(plt.Rectangle(start - size / 2, size, size, fill=False, edgecolor="white"))
axes.set_title(look.name)
figure.savefig("look.png")

# %% [markdown]
# ## Does the place depend on the content?
#
# It does: the same token looks elsewhere in another digit. The spread over 50 digits, compared with the mean
# distance:

# %%
firsts = torch.cat([predictor.looks(digits[index][0])[0].width for index in range(50)])
print(f"standard deviation over pictures: {firsts.std(0).mean():.2f} tokens; mean distance: {firsts.abs().mean():.2f}")
assert firsts.std(0).mean() > 0.01

# %% [markdown]
# ## Which branch counts?
#
# Each layer weights the samples of the row, of the column and the token itself by a softmax. A hook on the layer that
# computes the logits shows the weights; hooked modules are called, never bypassed.

# %%
from atmnet.layers import ATM

model = predictor.task.network.model
layer = next(module for module in model.modules() if isinstance(module, ATM))
seen = []
hook = layer.fusion.register_forward_hook(lambda module, inputs, output: seen.append(output))
predictor(picture)
hook.remove()
weights = seen[0].unflatten(-1, (-1, 3)).softmax(-1).mean(dim=(0, 1))  # (images, channels, branches)
print("mean weight of row, column and token itself:", [f"{weight:.2f}" for weight in weights.tolist()])

# %% [markdown]
# ## The whole report
#
# `atmnet evaluate RUN --report page.html` draws all of this in one file, in which you move the token with the mouse
# ([Where the network looks](../looks.md)).
