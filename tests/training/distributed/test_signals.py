import os
import signal
import subprocess
import sys
import textwrap

from core.training.distributed import signals
from core.training.distributed.signals import StopSignals


def test_signals_are_remembered_and_handlers_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as stop:
        assert stop.received is None
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == "SIGUSR1"
    assert signal.getsignal(signal.SIGTERM) == before


def test_helpers_outlive_everybody_but_their_parent():
    program = textwrap.dedent("""
        import multiprocessing, runpy, subprocess, sys, time
        outlive_stop_signals = runpy.run_path(sys.argv[1])["outlive_stop_signals"]

        def help(ready):
            outlive_stop_signals()
            ready.set()
            time.sleep(60)

        context = multiprocessing.get_context("fork")
        ready = context.Event()
        helper = context.Process(target=help, args=(ready,), daemon=True)
        helper.start()
        ready.wait(30)
        for name in ("TERM", "INT", "USR1"):
            subprocess.run(["kill", f"-{name}", str(helper.pid)], check=True)
        time.sleep(0.3)
        print(helper.is_alive())
        helper.terminate()
        helper.join(30)
        print(helper.exitcode)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, signals.__file__],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["True", "0"]
