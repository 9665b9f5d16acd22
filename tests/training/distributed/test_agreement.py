import pytest
import torch
from accelerate import Accelerator

from core.training.distributed.agreement import Agreement, StepFlags


@pytest.mark.gpu
def test_posting_does_not_wait_for_the_device():
    accelerator = Accelerator()
    agreement, skipped = Agreement(accelerator), torch.tensor(True, device=accelerator.device)
    agreement.post(skipped, StepFlags())  # makes what is made once
    torch.cuda.synchronize()
    torch.cuda._sleep(200_000_000)  # about a tenth of a second
    agreement.post(skipped, StepFlags(signalled=True))
    assert not torch.cuda.current_stream().query()
    assert agreement.poll() == StepFlags(skipped=True, signalled=True)
