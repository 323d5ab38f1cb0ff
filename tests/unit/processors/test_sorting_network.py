"""Sorting networks sort."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from processors.masters.sorting_network import comparators


def applied(values: list[float], length: int) -> list[float]:
    """A sequence after the comparisons, in plain Python."""
    for first, second in comparators(length):
        if values[second] < values[first]:
            values[first], values[second] = values[second], values[first]
    return values


@pytest.mark.parametrize("length", range(1, 13))
def test_every_sequence_of_two_values_is_sorted_and_so_is_every_sequence(length: int) -> None:
    """The zero-one principle: Knuth, The Art of Computer Programming 3, section 5.3.4, theorem Z."""
    sequences = np.array(list(product((0, 1), repeat=length))).T
    for first, second in comparators(length):
        lower, upper = np.minimum(*sequences[[first, second]]), np.maximum(*sequences[[first, second]])
        sequences[first], sequences[second] = lower, upper
    assert (np.diff(sequences, axis=0) >= 0).all()


@pytest.mark.parametrize("length", [17, 20, 31, 64, 100, 257])
def test_long_sequences_are_sorted(length: int) -> None:
    values = np.random.default_rng(length).normal(size=length).tolist()
    assert applied(values.copy(), length) == sorted(values)


def test_twenty_images_want_103_comparisons() -> None:
    assert len(comparators(20)) == 103
