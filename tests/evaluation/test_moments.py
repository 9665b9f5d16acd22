from __future__ import annotations

from core.evaluation.report.pictures import choose_moments


def clip(name: str, *values: float) -> dict:
    """Return the record of a clip whose frames in between have these scores."""
    frames = [
        {"index": 1 + i, "role": "middle", "scores": {"native": {"streamsplat": {"psnr": value}}}}
        for i, value in enumerate(values)
    ]
    key = {"index": 0, "role": "given", "scores": {"native": {"streamsplat": {"psnr": 0.0}}}}
    return {"name": name, "gaps": {"9": {"pairs": [{"first": 0, "frames": [key, *frames]}]}}}


def test_failures_are_of_different_clips() -> None:
    clips = [clip("a", 30.0, 12.0, 11.0), clip("b", 20.0, 35.0), clip("c", 12.0, 13.0)]
    clips += [clip(str(i), 26.0 + i) for i in range(5)]
    moments = choose_moments({"protocols": ["native", "published"], "clips": clips})
    assert [(m.file, m.clip, m.index, m.psnr) for m in moments] == [
        ("best.png", "b", 2, 35.0),
        ("median.png", "1", 1, 27.0),
        ("worst_1.png", "a", 3, 11.0),
        ("worst_2.png", "c", 1, 12.0),
        ("worst_3.png", "b", 1, 20.0),
        ("worst_4.png", "0", 1, 26.0),
        ("worst_5.png", "1", 1, 27.0),
        ("worst_6.png", "2", 1, 28.0),
    ]
    assert moments[2].title == "The worst moment of a"


def test_nothing_in_between_is_nothing_to_show() -> None:
    assert choose_moments({"protocols": ["native"], "clips": [clip("a")]}) == []
