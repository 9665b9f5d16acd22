import os
import signal
import subprocess
import sys
import textwrap

from core.training.distributed import signals
from core.training.distributed.signals import StopRequests


def test_signals_are_remembered_and_handlers_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with StopRequests() as stop:
        assert stop.received is None
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == "SIGUSR1"
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_time_is_over_after_so_many_minutes():
    assert not StopRequests().out_of_time
    assert not StopRequests(max_minutes=1.0).out_of_time
    assert StopRequests(max_minutes=-1e-9).out_of_time


def test_of_all_stop_signals_workers_obey_their_parent_alone():
    program = textwrap.dedent("""
        import multiprocessing, runpy, subprocess, sys, time
        ignore_stop_signals = runpy.run_path(sys.argv[1])["ignore_stop_signals"]

        def work(ready):
            ignore_stop_signals()
            ready.set()
            time.sleep(60)

        context = multiprocessing.get_context("fork")
        ready = context.Event()
        worker = context.Process(target=work, args=(ready,), daemon=True)
        worker.start()
        ready.wait(30)
        for name in ("TERM", "INT", "USR1"):
            subprocess.run(["kill", f"-{name}", str(worker.pid)], check=True)
        time.sleep(0.3)
        print(worker.is_alive())
        worker.terminate()
        worker.join(30)
        print(worker.exitcode)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, signals.__file__],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["True", "0"]
