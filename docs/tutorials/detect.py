# %% [markdown]
# # Detect on your own COCO file
#
# A detector needs pictures and a file of boxes, in COCO's format or one of the [others](../formats.md). The package
# can draw such data: handwritten digits on photographs. With your own data, begin at *Check the data*.

# %%
import json
from pathlib import Path

from atmnet_cli.command import main

scenes = ["--train", "240", "--val", "30", "--img_size", "64", "--objects", "[1,2]", "--digit_sizes", "[32,50]"]
assert main(["make-scenes", "scenes", *scenes, "--contrast", "[90,170]"]) == 0
print(*sorted(str(path) for path in Path("scenes").rglob("*") if path.is_dir() or path.suffix == ".json"), sep="\n")

# %% [markdown]
# Ten classes take longer than two minutes to learn, so here all digits become one class. A file in COCO's format is
# JSON, with `images`, `annotations` and `categories`:

# %%
for path in Path("scenes/annotations").glob("*.json"):
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        annotation["category_id"] = 1
    content["categories"] = [{"id": 1, "name": "digit"}]
    path.write_text(json.dumps(content))
print(content["images"][0], content["annotations"][0]["bbox"], sep="\n")

# %% [markdown]
# ## Check the data
#
# The format is recognised by looking. The check finds boxes outside of their pictures, missing files, and classes
# that only one split has.

# %%
assert main(["check-data", "--data.root", "scenes", "--data.source", "coco"]) == 0

# %% [markdown]
# ## Train
#
# FCOS has no anchors to choose, so it is a good first detector. The recipe `own_detection` is for pictures of the
# usual size and a GPU; for these small ones, and for two minutes on a processor, other numbers fit. Weights of a
# classifier go into the backbone.

# %%
import atmnet

run = atmnet.train(
    {"root": "scenes", "source": "coco", "workers": 0},
    {
        "name": "atmnet_nano",
        "weights": "atmnet_nano.digits",
        "head": "fcos",
        "neck": "atmfpn",
        "channels": 64,
    },
    output="runs/boxes",
    dense={"img_sizes": [64], "max_img_size": 64, "hflip": 0.0, "distort": False},
    optim={"opt": "muon", "lr": 5e-3, "weight_decay": 0.01, "clip_grad": 5.0},
    epochs=3,
    batch_size=8,
    evaluate_every=3,
    device="cpu",
)
last = run.metrics[-1]
print({name: round(value, 1) for name, value in last.items() if isinstance(value, float)})
assert last["box_ap50"] > 40  # in percent; AP50 counts an object as found if it overlaps by half

# %% [markdown]
# Three epochs over 240 small pictures are few: the recipes `scenes_*` take 5 to 20 minutes, and tell the ten digits
# apart ([results](../dense.md#results-when-trained-from-scratch)).
#
# ## Use it
#
# An answer has boxes in pixels of the picture, and draws itself.

# %%
predictor = run.load("last", device="cpu")
picture = sorted(Path("scenes/images/val").iterdir())[0]
answer = predictor(picture, threshold=0.2)
print(answer.text)
answer.draw().save("drawn.png")

# %% [markdown]
# `atmnet predict` writes drawings, YOLO labels and a results file in COCO's format, which other tools evaluate:

# %%
assert main(["predict", "runs/boxes", "scenes/images/val", "--output", "boxes", "--device", "cpu"]) == 0
results = json.loads(Path("boxes/results.json").read_text())
print(len(results), "objects, the first:", results[0])
assert results
