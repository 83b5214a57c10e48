"""Readers, transforms and loaders that are a function of counters, and the embedded digits."""

from atmnet.data.check import SplitCheck, check_split, same_images
from atmnet.data.dataset import Batch, OnImage, Sample, Split, Transform, collate, moved
from atmnet.data.digits import DigitsReader
from atmnet.data.images import EXTENSIONS, UnreadableImage, read_image, to_8_bits
from atmnet.data.loader import eval_loader, eval_transform, image_mode, train_loader, train_transform
from atmnet.data.sampler import Key, StepSampler
from atmnet.data.seeding import derive, reseed
from atmnet.data.source import Source, open_source, read_class_file

__all__ = [
    "EXTENSIONS",
    "Batch",
    "DigitsReader",
    "Key",
    "OnImage",
    "Sample",
    "Source",
    "Split",
    "SplitCheck",
    "StepSampler",
    "Transform",
    "UnreadableImage",
    "check_split",
    "collate",
    "derive",
    "eval_loader",
    "eval_transform",
    "image_mode",
    "moved",
    "open_source",
    "read_class_file",
    "read_image",
    "reseed",
    "same_images",
    "to_8_bits",
    "train_loader",
    "train_transform",
]
