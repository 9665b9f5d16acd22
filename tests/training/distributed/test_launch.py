from types import SimpleNamespace

import pytest
import torch
from accelerate.utils import DistributedType, DynamoBackend
from torch.distributed import DistBackendError

from core.checks import UserError
from core.training.distributed import launch
from core.training.distributed.launch import (
    build_accelerator,
    check_alike,
    lost_processes_explained,
)


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


def _attributes_of(accelerator):
    names = (
        *("distributed_type", "state", "gradient_accumulation_steps", "num_processes"),
        "is_main_process",
    )
    return {name: getattr(accelerator, name) for name in names}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distributed_type": DistributedType.FSDP}, "told to use FSDP"),
        (
            {"state": SimpleNamespace(dynamo_plugin=SimpleNamespace(backend=DynamoBackend.EAGER))},
            "compile with EAGER",
        ),
        ({"gradient_accumulation_steps": 4}, "over 4 steps"),
    ],
)
def test_launches_that_change_training_are_refused(monkeypatch, run_options, changes, message):
    plain = build_accelerator(run_options())
    values = _attributes_of(plain) | changes
    monkeypatch.setattr(launch, "Accelerator", lambda **_: SimpleNamespace(**values))
    with pytest.raises(UserError, match=message):
        build_accelerator(run_options())


@pytest.mark.parametrize(("precision", "matmul"), [("bf16", "high"), ("no", "highest")])
def test_float32_on_a_gpu_is_tf32_beside_half_precision_alone(
    monkeypatch, run_options, precision, matmul
):
    plain = build_accelerator(run_options())
    asked = {}

    def build(**options):
        asked.update(options)
        return SimpleNamespace(**{**_attributes_of(plain), "device": torch.device("cuda")})

    monkeypatch.setattr(launch, "Accelerator", build)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = torch.get_float32_matmul_precision()
    try:
        build_accelerator(run_options(mixed_precision=precision))
        assert torch.get_float32_matmul_precision() == matmul
        assert torch.backends.cudnn.allow_tf32 == (precision == "bf16")
    finally:
        torch.set_float32_matmul_precision(before)
    (averaging,) = asked["kwargs_handlers"]
    assert not averaging.broadcast_buffers


def test_processes_are_compared_but_for_places(monkeypatch):
    places = ("data.datasets.davis.path", "run.workspace", "model.init_from")
    options = {"run.seed": 1, **dict.fromkeys(places, "/here")}

    def check(theirs, samples):
        def gather(mine):
            assert not {*places} & {*mine[0][1]}
            return [*mine, ("other", {**mine[0][1], **theirs})]

        monkeypatch.setattr(launch, "gather_object", gather)
        check_alike(SimpleNamespace(), options, samples)

    check({}, 16)
    with pytest.raises(UserError, match=r"process 1 on other .*: samples_per_epoch is 40 rather"):
        check({"data.samples_per_epoch": 40}, 16)
    with pytest.raises(UserError, match="seed is 2 rather than 1"):
        check({"run.seed": 2}, None)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
            "reads samples was lost .*--workers or --cache_mib",
        ),
        (
            RuntimeError("[gloo/transport/tcp/pair.cc:5] Connection closed by peer [::1]:7\nmore"),
            r"another process of this run was lost \(.*closed by peer \[::1\]:7\)",
        ),
        (DistBackendError("NCCL error"), r"another process .* was lost \(NCCL error\)"),
    ],
)
def test_lost_processes_are_one_line(error, message):
    with pytest.raises(UserError, match=message), lost_processes_explained():
        raise error


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="a mistake"), lost_processes_explained():
        raise RuntimeError("a mistake")
