from __future__ import annotations

import threading

import pytest

from core.io.background import map_ahead


def test_results_come_in_order_from_several_threads():
    together = threading.Barrier(3, timeout=5)

    def double(item):
        if item < 3:
            together.wait()  # passes only if three work at once
        return 2 * item

    results = map_ahead(double, range(20), threads=3, ahead=4)
    assert list(results) == [2 * item for item in range(20)]


def test_errors_come_in_their_turn():
    results = map_ahead(lambda item: 1 / item, [1, 2, 0, 4], threads=2, ahead=2)
    assert [next(results), next(results)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_endless_items_are_asked_for_only_as_far_as_needed():
    asked = iter(range(10**9))
    results = map_ahead(lambda item: item, asked, threads=2, ahead=3)
    assert next(results) == 0
    results.close()
    assert next(asked) < 10
