import pytest
import torch

from core.checks import UserError
from core.training.distributed.launch import build_accelerator, lost_processes_explained


@pytest.mark.parametrize(
    "values",
    [
        {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"},
        {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
        | {"MASTER_PORT": "none"},
    ],
)
def test_processes_that_do_not_find_each_other_name_what_is_missing(
    monkeypatch, run_options, values
):
    for name, value in {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", **values}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"cannot be joined .*MASTER_ADDR and MASTER_PORT"):
        build_accelerator(run_options())


def test_processes_that_would_train_apart_are_refused(monkeypatch, run_options):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UserError, match="4 processes were started"):
        build_accelerator(run_options())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ACCELERATE_DYNAMO_BACKEND", "EAGER", "compile with EAGER"),
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4", "over 4 steps"),
    ],
)
def test_launches_that_change_training_are_refused(monkeypatch, run_options, name, value, message):
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        build_accelerator(run_options())


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "matmul"), [("bf16", "high"), ("no", "highest")])
def test_float32_is_tf32_beside_half_precision_alone(monkeypatch, run_options, precision, matmul):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = torch.get_float32_matmul_precision()
    try:
        build_accelerator(run_options(mixed_precision=precision))
        assert torch.get_float32_matmul_precision() == matmul
        assert torch.backends.cudnn.allow_tf32 == (precision == "bf16")
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_lost_process_is_one_line():
    message = r"another process .* was lost \(NCCL error\)"
    with pytest.raises(UserError, match=message), lost_processes_explained():
        raise torch.distributed.DistBackendError("NCCL error\nmore")


def test_a_lost_process_on_the_cpu_is_one_line():
    gloo = "[/pytorch/gloo/transport/tcp/pair.cc:5] Connection closed by peer [::1]:9. This is"
    message = r"another process .* was lost \(Connection closed by peer \[::1\]:9\)"
    with pytest.raises(UserError, match=message), lost_processes_explained():
        raise RuntimeError(gloo)


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="a mistake"), lost_processes_explained():
        raise RuntimeError("a mistake")
