"""Which frames are given and which are asked for, and at what size images are compared."""

from __future__ import annotations

from typing import Literal

ProtocolName = Literal["published", "native"]
"""``published`` compares at 256 by 256, ``native`` at the network's size."""
PUBLISHED_SIZE = (256, 256)
PUBLISHED_GAPS = (5, 8)
Role = Literal["given", "middle"]
"""``given`` are the key frames, ``middle`` the frames strictly between two of them."""
ROLES: tuple[Role, ...] = ("given", "middle")


def comparison_size(protocol: ProtocolName, network_size: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width at which images are compared."""
    return PUBLISHED_SIZE if protocol == "published" else network_size


def choose_pairs(num_frames: int, gap: int, max_pairs: int | None) -> list[int]:
    """Return the first frames of the pairs ``(first, first + gap)`` of a clip.

    Key frames are the multiples of ``gap``, and each two consecutive ones are a pair. Frames after
    the last key frame belong to no pair.

    Args:
        num_frames: Length of the clip.
        gap: Distance between key frames, at least 1.
        max_pairs: Of ``n`` pairs take ``m`` at most, the ones numbered ``i * n // m``, which are
            spread evenly over the clip; None takes all.
    """
    count = max(num_frames - 1, 0) // gap
    chosen = count if max_pairs is None else min(count, max_pairs)
    return [gap * (i * count // chosen) for i in range(chosen)]
