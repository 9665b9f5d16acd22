from __future__ import annotations

import pytest
import torch

from core.checks import UserError
from core.devices import choose_device, warm_up_gpu


def test_auto_finds_a_device() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto").type == expected


@pytest.mark.parametrize("name", ["warp", "cuda:99", "meta"])
def test_devices_that_are_not_there_are_named(name: str) -> None:
    with pytest.raises(UserError, match=f"--device {name}") as error:
        choose_device(name)
    assert "\n" not in str(error.value)


def test_each_process_of_a_machine_gets_a_gpu_of_its_own(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert choose_device("auto") == torch.device("cuda:3")


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda:99", "warp"])
def test_what_cannot_be_woken_is_reported_later(name: str) -> None:
    warm_up_gpu(name)()


@pytest.mark.gpu
def test_a_gpu_has_its_context_after_waiting() -> None:
    warm_up_gpu("cuda")()
    assert torch.cuda.is_initialized()
