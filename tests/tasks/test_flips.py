"""Answers for an image and the mirrored image, merged."""

import torch

from atmnet.tasks.flips import mean_of_labels, mean_of_sets, merged_objects

WIDTH = 20


LOGITS = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0)) * 4


def test_probabilities_are_the_means_of_both():
    torch.testing.assert_close(mean_of_labels(LOGITS).softmax(-1), LOGITS.softmax(-1).mean(0))


def test_probabilities_of_sets_are_the_means_of_both():
    torch.testing.assert_close(mean_of_sets(LOGITS).sigmoid(), LOGITS.sigmoid().mean(0))
    assert mean_of_sets(torch.tensor([[[300.0]], [[300.0]]])).isfinite().all()


def _square_detector(images):
    """An object around the bright pixels of each image, with a mask, and a second one only for bright left halves."""
    outputs = []
    for image in images:
        mask = image.mean(0) > 0.5
        rows, columns = mask.nonzero().unbind(1)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        is_left = bool(columns.float().mean() < WIDTH / 2)
        boxes = torch.tensor([box] if is_left else [box, [0, 0, 3, 3]], dtype=torch.float32)
        masks = torch.zeros(len(boxes), 1, *mask.shape)
        masks[0, 0] = mask
        outputs.append(
            {
                "boxes": boxes,
                "labels": torch.ones(len(boxes), dtype=torch.long),
                "scores": torch.tensor([0.6, 0.7][: len(boxes)] if is_left else [0.8, 0.7]),
                "masks": masks,
            }
        )
    return outputs


def test_objects_of_both_are_merged():
    image = torch.zeros(3, 10, WIDTH)
    image[:, 2:6, 1:5] = 1  # on the left: the mirrored image has the higher score, and a second object
    (merged,) = merged_objects(_square_detector, [image])
    assert merged["scores"].tolist() == [torch.tensor(0.8), torch.tensor(0.7)]
    assert merged["boxes"].tolist() == [[1, 2, 5, 6], [17, 0, 20, 3]]
    assert torch.equal(merged["masks"][0, 0], image[0])


def test_objects_of_a_mirrored_image_are_mirrored():
    image = torch.zeros(3, 10, WIDTH)
    image[:, 2:6, 1:5] = 1
    (merged,), (mirrored,) = (merged_objects(_square_detector, [each]) for each in (image, image.flip(-1)))
    x0, y0, x1, y1 = mirrored["boxes"].unbind(1)
    assert torch.equal(torch.stack([WIDTH - x1, y0, WIDTH - x0, y1], 1), merged["boxes"])
    assert torch.equal(mirrored["masks"].flip(-1), merged["masks"])


def test_an_image_without_objects():
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long), "scores": torch.zeros(0)}
    (merged,) = merged_objects(lambda images: [nothing for _ in images], [torch.zeros(3, 4, 4)])
    assert merged["boxes"].shape == (0, 4)
