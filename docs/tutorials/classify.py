# %% [markdown]
# # Classify your own folder
#
# A folder with one sub-folder for each class is all that a classifier needs. This tutorial makes such a folder of
# scikit-learn's handwritten digits, trains on it, looks at the mistakes, and uses the network. With your own
# pictures, begin at *Check the data*.
#
# ## A folder of pictures

# %%
from pathlib import Path

from atmnet.data import DigitsReader

for split in ("train", "val"):
    digits = DigitsReader(split)
    for index in range(0, len(digits), 3):  # a third of them is enough here
        picture, digit = digits[index]
        folder = Path("pictures", split, "even" if digit % 2 == 0 else "odd")
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{digits.filename(index)}-is-{digit}.png")

print(*sorted(map(str, Path("pictures").glob("*/*"))), sep="\n")

# %% [markdown]
# ## Check the data
#
# `atmnet check-data --data.root pictures` reads every picture and lists unreadable files, classes that differ between
# the splits, and pictures that are in both. From Python, the commands are run by `main`, which returns the exit
# status.

# %%
from atmnet_cli.command import main

assert main(["check-data", "--data.root", "pictures"]) == 0

# %% [markdown]
# ## Train
#
# `atmnet.train` does what `atmnet train --config finetune` does; its options are arguments. A network that knows
# something similar is a better start than random weights: here the small network for ten digits that comes with the
# package, whose head is replaced by one for two classes. For photographs, take `atmnet_tiny` with the authors'
# weights ([Models](../models.md#weights-by-name)).

# %%
import atmnet

options = {
    "data": {"root": "pictures", "workers": 0, "img_size": 32},
    "model": {"name": "atmnet_nano", "weights": "atmnet_nano.digits"},
    "augment": {"hflip": 0.0, "scale": [0.7, 1.0]},
    "optim": {"lr": 1e-3, "warmup_epochs": 1},
    "epochs": 3,
    "device": "cpu",
}
run = atmnet.train(**options, output="runs/parity")
print(run.metrics[-1])

# %% [markdown]
# The same call, or the same command, resumes a run that was stopped, to the same bits ([Exact resume](../resume.md)).
# This run is finished, so it does nothing:

# %%
atmnet.train(**options, output="runs/parity")

# %% [markdown]
# ## Look at the mistakes
#
# The report is one HTML file: learning curve, confusions, the worst mistakes with their pictures, and where the
# network looks.

# %%
assert main(["evaluate", "runs/parity", "--report", "report.html", "--device", "cpu"]) == 0
print(Path("report.html").stat().st_size // 1000, "kB")

# %% [markdown]
# ## Use it

# %%
predictor = run.load(device="cpu")
pictures = sorted(Path("pictures/val").glob("*/*.png"))
answers = predictor(pictures)
predicted = [answer.record["predictions"][0]["class"] for answer in answers]
right = sum(name == path.parent.name for name, path in zip(predicted, pictures, strict=True))
print(answers[0].text)
print(f"{right} of {len(pictures)} right")
assert right / len(pictures) > 0.85

# %% [markdown]
# From the shell: `atmnet predict runs/parity pictures/val --sheet sheet.png`. Next: [export it](export.md), or read
# how to [train on rare classes](../training.md#rare-classes) and [compare models](../compare.md).
