"""Imported first by programs: lets Ctrl-C end them without a traceback while the rest is imported.

Python would raise ``KeyboardInterrupt`` somewhere inside an import, seconds before there is a
``main`` that could catch it. Until :func:`core.checks.cli_errors` takes over, the system's own
handling applies, which ends the process at once. Where Ctrl-C is ignored it stays ignored.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
