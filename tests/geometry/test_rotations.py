from __future__ import annotations

import torch

from core.geometry.rotations import matrices_from_quats, quats_from_matrices


def unit_quats(count: int) -> torch.Tensor:
    quats = torch.randn(count, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return quats / quats.norm(dim=-1, keepdim=True)


def test_the_matrix_turns_as_the_quaternion_does() -> None:
    half = torch.tensor(torch.pi / 4, dtype=torch.float64)
    about_z = torch.stack([half.cos(), 0 * half, 0 * half, half.sin()])
    turned = matrices_from_quats(about_z) @ torch.tensor([1.0, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(turned, torch.tensor([0.0, 1, 0], dtype=torch.float64))


def test_matrices_of_unit_quaternions_are_rotations() -> None:
    matrices = matrices_from_quats(unit_quats(50))
    identity = torch.eye(3, dtype=torch.float64).expand(50, 3, 3)
    torch.testing.assert_close(matrices @ matrices.mT, identity)
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(50, dtype=torch.float64))


def test_quaternions_come_back_up_to_sign_also_at_half_turns() -> None:
    half_turns = torch.eye(4, dtype=torch.float64)
    quats = torch.cat([unit_quats(200), half_turns])
    back = quats_from_matrices(matrices_from_quats(quats))
    assert (back[:, 0] >= 0).all()
    torch.testing.assert_close((back * quats).sum(-1).abs(), torch.ones(204, dtype=torch.float64))
