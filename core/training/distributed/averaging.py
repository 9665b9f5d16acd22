"""Gradients of several processes on CPUs, averaged with the same rounding in every run."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel


def average_in_rank_order(model: nn.Module) -> None:
    """Let the processes of a network on the CPU add up their gradients in the order of their ranks.

    DistributedDataParallel packs gradients anew after its first step, and Gloo's ring adds up those
    of more than two processes in an order that depends on their place in the pack: the first step
    after a restart would round unlike that of a run that goes on. Sends each process all gradients,
    about half as much again as a ring for three processes, twice for four. On a GPU, where atomic
    additions come in any order anyway, and for a single process, all is left as it is.

    Args:
        model: As Accelerate prepared it.
    """
    if isinstance(model, DistributedDataParallel) and model.device_type == "cpu":
        model.register_comm_hook(model.process_group, _average)


# DistributedDataParallel compares these annotations with its own: they must not be strings.
def _average(
    group: dist.ProcessGroup,
    bucket: dist.GradBucket,  # pyright: ignore[reportPrivateImportUsage]
) -> Future[Tensor]:
    mine = bucket.buffer()
    gathered = [torch.empty_like(mine) for _ in range(group.size())]
    work = dist.all_gather(gathered, mine, group=group, async_op=True)
    assert work is not None

    def add(done: Future[list[Tensor]]) -> Tensor:
        done.value()  # raises where a process was lost on the way
        total = gathered[0]
        for other in gathered[1:]:
            total += other
        return total.div_(group.size())

    return work.get_future().then(add)
