from __future__ import annotations

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rasterizer", "key_frame", "video", "program_help"])
def test_nothing_became_slower_beside_its_reference(name: str) -> None:
    import ratios

    row = getattr(ratios, name)()
    assert row.ratio() <= row.limit
