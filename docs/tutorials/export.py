# %% [markdown]
# # Export, and run without torch
#
# Sampling along an axis is two gathers and a weighted sum, so an exported network needs no custom operator. This
# tutorial writes the small network for digits as an ONNX file and runs it in a process that has neither torch nor
# atmnet loaded.
#
# ## Export
#
# `atmnet export RUN --to onnx` does this for your own run. The file is run, and kept only if it agrees with the
# model.

# %%
from atmnet.export import ExportSettings, export
from atmnet.tasks import load_network

settings = ExportSettings(pixels="uint8")  # the file takes bytes, and normalises them itself
report = export(load_network("atmnet_nano.digits"), "digits.onnx", settings, progress=print)
print(report.text)

# %% [markdown]
# ## Pictures to try it on

# %%
from atmnet.data import DigitsReader

digits = DigitsReader("val")
names = []
for index in range(12):
    picture, digit = digits[index]
    names.append(f"{index}-is-{digit}.png")
    picture.save(names[-1])

# %% [markdown]
# ## Run
#
# `atmnet_runtime` is one file, without torch and atmnet, which you can copy next to the model. It prepares pictures
# exactly as the training did. This program runs in a process of its own:

# %%
import subprocess
import sys
from pathlib import Path

Path("program.py").write_text(
    """
import sys
from atmnet_runtime import open_classifier

classifier = open_classifier("digits.onnx")
for name, probabilities in zip(sys.argv[1:], classifier(sys.argv[1:])):
    best = probabilities.argmax()
    print(f"{name}: {classifier.classes[best]} ({probabilities[best]:.1%})")
assert not {"torch", "atmnet"} & set(sys.modules)
"""
)
done = subprocess.run([sys.executable, "program.py", *names], capture_output=True, text=True, check=True)
print(done.stdout)
answers = [line.partition(": ")[2][0] for line in done.stdout.splitlines()]
right = sum(answer == name.partition("-is-")[2][0] for answer, name in zip(answers, names, strict=True))
assert right >= 11

# %% [markdown]
# ## The same answers
#
# The commands take the file in place of the run's folder:

# %%
import atmnet

exported, eager = atmnet.load("digits.onnx"), atmnet.load("atmnet_nano.digits", device="cpu")
for name in names[:3]:
    print(exported(name).text, "|", eager(name).text)

# %% [markdown]
# [Deployment](../deploy.md) has the other formats, eight bits, detectors and segmenters, and the times.
