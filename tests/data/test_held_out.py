"""A part that is held out, and the part that is left."""

import pytest

from atmnet.data.held_out import hold_out


class Numbers:
    def __init__(self, count):
        self._count = count
        self.classes = ["a"]

    def __len__(self):
        return self._count

    def load(self, index, mode):
        return f"picture {index}", index

    def name(self, index):
        return f"{index}.png"


@pytest.mark.parametrize(("count", "share", "expected"), [(10, 0.2, 2), (2, 0.9, 1), (7, 0.01, 1), (100, 0.25, 25)])
def test_every_picture_is_in_one_part(count, share, expected):
    parts = hold_out(Numbers(count), share, seed=3)
    names = [[part.name(index) for index in range(len(part))] for part in parts]
    assert len(parts[1]) == expected
    assert sorted(names[0] + names[1]) == sorted(f"{index}.png" for index in range(count))
    assert [part.load(0, "L")[1] for part in parts] == [int(each[0].removesuffix(".png")) for each in names]


def test_the_division_follows_from_the_seed():
    names = [
        [part.name(index) for index in range(len(part))]
        for seed in (0, 0, 1)
        for part in hold_out(Numbers(50), 0.2, seed)[1:]
    ]
    assert names[0] == names[1] != names[2]


def test_the_rest_is_the_splits_own():
    assert hold_out(Numbers(5), 0.2, 0)[0].classes == ["a"]
