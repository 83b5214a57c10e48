"""What training and evaluation do to picture and target, down to pictures of a pixel's height."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from atmnet.data.dense_transforms import (
    DetectionEval,
    DetectionTrain,
    SegmentationEval,
    SegmentationTrain,
)
from atmnet.data.targets import IGNORE, DetectionTarget, no_objects
from atmnet_cli.options import DenseOptions

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)


def rectangle(height, width, box, colour=(255, 0, 0)):
    """A black picture with one rectangle, as object of class 2."""
    x0, y0, x1, y1 = box
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[y0:y1, x0:x1] = colour
    masks = torch.zeros(1, height, width, dtype=torch.bool)
    masks[0, y0:y1, x0:x1] = True
    target = DetectionTarget(
        boxes=torch.tensor([box], dtype=torch.float32), labels=torch.tensor([2]), masks=masks,
        crowd=torch.tensor([False]), area=masks.sum((1, 2)).float(), image_id=7,
    )  # fmt: skip
    return Image.fromarray(pixels), target


def test_boxes_and_masks_follow_the_picture():
    image, target = rectangle(60, 80, (10, 5, 40, 25))
    transform = DetectionTrain(DenseOptions(img_sizes=[30, 60, 120], max_img_size=1000))
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        picture, found = transform(image, target)
        assert type(picture) is type(found.boxes) is type(found.masks) is torch.Tensor
        assert (picture.dtype, found.masks.dtype, found.boxes.dtype) == (torch.float32, torch.bool, torch.float32)
        scale = picture.shape[1] / 60
        red = picture[0] > 0.5
        rows, columns = torch.nonzero(red, as_tuple=True)
        seen_box = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
        torch.testing.assert_close(found.boxes[0], seen_box, atol=1.0, rtol=0)
        assert (found.masks[0] != red).float().mean() < 0.02
        torch.testing.assert_close(found.area, target.area * scale**2)
        assert (found.labels.tolist(), found.image_id) == ([2], 7)
        seen.add((picture.shape[1], bool(found.boxes[0, 0] < picture.shape[2] / 4)))
    assert seen == {(side, mirrored) for side in (30, 60, 120) for mirrored in (False, True)}
    assert target.boxes.tolist() == [[10, 5, 40, 25]], "the source's own target stays as it was"


def test_boxes_alone():
    image, target = rectangle(60, 80, (10, 5, 40, 25))
    bare = dataclasses.replace(target, masks=torch.zeros(1, 0, 0, dtype=torch.bool))
    transform = DetectionTrain(DenseOptions(img_sizes=[30, 60, 120], max_img_size=1000, distort=True))
    for seed in range(10):
        torch.manual_seed(seed)
        picture, found = transform(image, target)
        torch.manual_seed(seed)
        same, alone = transform(image, bare)
        assert torch.equal(picture, same)
        assert torch.equal(found.boxes, alone.boxes)
        assert torch.equal(found.area, alone.area)
        assert alone.masks.shape == (1, 0, 0)


def test_longest_side():
    image, target = rectangle(31, 400, (10, 5, 40, 25))
    picture, _ = DetectionTrain(DenseOptions(img_sizes=[200], max_img_size=100))(image, target)
    assert max(picture.shape) == 100


def test_objects_that_shrink_below_a_pixel_are_left_out():
    image, target = rectangle(100, 100, (10, 10, 11, 40))
    picture, found = DetectionTrain(DenseOptions(img_sizes=[50]))(image, target)
    assert picture.shape == (3, 50, 50)
    assert [len(value) for value in (found.boxes, found.labels, found.masks, found.crowd, found.area)] == [0] * 5
    _, found = DetectionTrain(DenseOptions(img_sizes=[100]))(image, target)
    assert len(found.boxes) == 1, "a box of one pixel is one"


def test_boxes_are_clipped_to_the_picture():
    image, target = rectangle(50, 50, (10, 10, 40, 40))
    target.boxes = torch.tensor([[-20.0, 10, 30, 90]])
    _, found = DetectionTrain(DenseOptions(img_sizes=[50], hflip=0.0))(image, target)
    assert found.boxes.tolist() == [[0, 10, 30, 50]]
    target.boxes = torch.tensor([[60.0, 10, 80, 40]])
    _, found = DetectionTrain(DenseOptions(img_sizes=[50], hflip=0.0))(image, target)
    assert found.boxes.shape == (0, 4)


@pytest.mark.parametrize("size", [(31, 400), (400, 31), (1, 1), (1, 50)])
def test_no_objects_and_odd_sizes(size):
    height, width = size
    image = Image.new("RGB", (width, height), "grey")
    picture, found = DetectionTrain(DenseOptions(img_sizes=[64], max_img_size=300, distort=True))(
        image, no_objects(height, width, 3)
    )
    assert (found.boxes.shape, found.masks.shape) == ((0, 4), (0, *picture.shape[1:]))
    labels = torch.zeros(height, width, dtype=torch.uint8)
    picture, found = SegmentationTrain(DenseOptions(crop_size=64), MEAN, STD)(image, labels)
    assert (picture.shape, found.shape) == ((3, 64, 64), (64, 64))
    picture, found = SegmentationEval(64, MEAN, STD)(image, labels)
    assert found is labels
    assert max(picture.shape[1:]) <= 256


def test_evaluation_leaves_pictures_for_detection_as_they_are():
    image, target = rectangle(31, 40, (10, 5, 20, 25))
    picture, found = DetectionEval()(image, target)
    assert found is target
    assert torch.equal(picture, torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_distortion_stays_within_range(mode):
    image, target = rectangle(40, 40, (5, 5, 30, 30), (200, 120, 40))
    pictures = []
    for seed in range(10):
        torch.manual_seed(seed)
        transform = DetectionTrain(DenseOptions(img_sizes=[40], hflip=0.0, distort=True))
        pictures.append(transform(image.convert(mode), target)[0])
    assert len({picture.numpy().tobytes() for picture in pictures}) > 5
    assert all(picture.min() >= 0 and picture.max() <= 1 for picture in pictures)


def test_crops_keep_picture_and_labels_together():
    """Grey level 10 c for class c: normalised back, the picture tells the label."""
    labels = torch.arange(20, dtype=torch.uint8).repeat_interleave(8).repeat(100, 1)
    image = Image.fromarray(np.repeat((labels.numpy() * 10)[..., None], 3, 2))
    transform = SegmentationTrain(DenseOptions(crop_size=48, scale=(0.5, 2.0)), MEAN, STD)
    padded = 0
    for seed in range(30):
        torch.manual_seed(seed)
        picture, found = transform(image, labels)
        assert type(picture) is type(found) is torch.Tensor
        assert (picture.shape, found.shape) == ((3, 48, 48), (48, 48))
        assert (picture.dtype, found.dtype) == (torch.float32, torch.uint8)
        outside = found == IGNORE
        assert (picture[:, outside] == 0).all()
        grey = (picture * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None])[0] * 25.5
        assert (grey - found)[~outside].abs().mean() < 0.4
        padded += bool(outside.any())
    assert 3 < padded < 25


def test_ignored_pixels_stay_ignored():
    labels = torch.full((64, 64), IGNORE, dtype=torch.uint8)
    labels[:32] = 3
    _, found = SegmentationTrain(DenseOptions(crop_size=64, scale=(1, 1)), MEAN, STD)(
        Image.new("RGB", (64, 64)), labels
    )
    assert torch.equal(found, labels)


def test_crops_of_one_class_are_drawn_again():
    labels = torch.zeros(64, 256, dtype=torch.uint8)
    labels[:, 96:160] = 1
    image = Image.new("RGB", (256, 64))

    def shares(limit):
        found = []
        for seed in range(40):
            torch.manual_seed(seed)
            options = DenseOptions(crop_size=64, scale=(1, 1), max_class_share=limit)
            _, crop = SegmentationTrain(options, MEAN, STD)(image, labels)
            found.append(float(crop.flatten().bincount().max()) / 64**2)
        return np.array(found)

    assert (shares(1.0) > 0.75).mean() > 0.3
    assert (shares(0.75) > 0.75).mean() < 0.1


def test_evaluation_of_segmentation():
    labels = torch.zeros(100, 50, dtype=torch.uint8)
    transform = SegmentationEval(32, MEAN, STD)
    picture, found = transform(Image.new("RGB", (50, 100)), labels)
    assert picture.shape == (3, 64, 32)
    assert torch.equal(found, labels)
    torch.testing.assert_close(picture[:, 0, 0], -torch.tensor(MEAN) / torch.tensor(STD))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_one_seed_one_sample_also_pickled(mode):
    image, target = rectangle(60, 80, (10, 5, 40, 25))
    image = image.convert(mode)
    labels = target.masks[0].to(torch.uint8)
    mean, std = (MEAN, STD) if mode == "RGB" else ((0.5,), (0.2,))
    dense = DenseOptions(img_sizes=[30, 60], crop_size=32, distort=True)
    for transform, goal in (
        (DetectionTrain(dense), target),
        (SegmentationTrain(dense, mean, std), labels),
    ):
        pictures = []
        for copy in (transform, pickle.loads(pickle.dumps(transform))):
            torch.manual_seed(3)
            pictures.append(copy(image, goal)[0])
        assert torch.equal(*pictures)


def test_targets_move_and_choose():
    _, target = rectangle(10, 10, (2, 2, 5, 5))
    moved = target.to("meta")
    assert {moved.boxes.device.type, moved.masks.device.type, moved.crowd.device.type} == {"meta"}
    assert moved.image_id == 7
    assert len(target.keep(torch.tensor([False])).masks) == 0
    assert target.keep([0, 0]).labels.tolist() == [2, 2]
