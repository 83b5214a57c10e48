# %% [markdown]
# # Segment
#
# A segmenter gives each pixel a class. It needs pictures and label maps: PNG files of the same size in which a
# pixel's value is its class, as in ADE20K ([Data](../data.md#segmentation-ade20ks-format)). The package can draw such
# data: digits on photographs.

# %%
from pathlib import Path

import numpy as np
from PIL import Image

from atmnet_cli.command import main

scenes = ["--train", "240", "--val", "30", "--img_size", "64", "--objects", "[1,2]", "--digit_sizes", "[40,50]"]
assert main(["make-scenes", "scenes", *scenes, "--contrast", "[90,170]"]) == 0

# %% [markdown]
# These label maps have the background as class 1, and the digits as 2 to 11. Ten digits take longer than two minutes
# to learn, so here all of them become one class, as with your own label maps that you prepare by a few lines:

# %%
for path in Path("scenes/annotations").glob("*/*.png"):
    labels = np.asarray(Image.open(path))
    Image.fromarray(np.minimum(labels, 2)).save(path)
Path("scenes/classes.txt").write_text("background\ndigit\n")

assert main(["check-data", "--data.root", "scenes", "--data.source", "ade20k"]) == 0

# %% [markdown]
# ## Train
#
# Semantic FPN sums the levels of a feature pyramid at a quarter of the resolution. ATMFPN is the pyramid that mixes
# whole rows and columns. The crop in training, and the shorter side in evaluation, are the 64 pixels of these
# pictures.

# %%
import atmnet

run = atmnet.train(
    {"root": "scenes", "source": "ade20k", "workers": 0},
    {
        "name": "atmnet_nano",
        "weights": "atmnet_nano.digits",
        "head": "semantic_fpn",
        "neck": "atmfpn",
        "channels": 64,
        "head_kwargs": {"channels": 64, "dropout": 0.0},
    },
    output="runs/regions",
    dense={"crop_size": 64, "scale": [1.0, 1.0], "hflip": 0.0, "max_class_share": 1.0},
    optim={"opt": "muon", "lr": 6e-3, "weight_decay": 0.01, "clip_grad": 5.0},
    epochs=3,
    batch_size=8,
    evaluate_every=3,
    device="cpu",
)
last = run.metrics[-1]
print({name: round(value, 3) for name, value in last.items() if isinstance(value, float)})

# %% [markdown]
# mIoU is the mean over classes of intersection over union; a class that is never found counts as zero.

# %%
assert last["miou"] > 55

# %% [markdown]
# ## Use it

# %%
predictor = run.load("last", device="cpu")
picture = sorted(Path("scenes/images/val").iterdir())[0]
answer = predictor(picture)
print(answer.text)
answer.draw().save("drawn.png")

# %% [markdown]
# Large pictures are cut into windows that overlap, and their answers averaged: `atmnet predict RUN PICTURES
# --windows.window 512`. Label maps are written as PNG files by `--output`:

# %%
assert main(["predict", "runs/regions", "scenes/images/val", "--output", "regions", "--device", "cpu"]) == 0
maps = sorted(path for path in Path("regions").rglob("*.png"))
print(len(maps), "files, such as", maps[0])
assert maps
