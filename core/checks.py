"""What a program says when its user brings something that it cannot use."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps


class UserError(Exception):
    """A problem that the user can mend; the message says what, where, and how.

    Command-line programs print it as one line and exit with status 2; see :func:`cli_errors`. It is
    no ``ValueError``, because tyro would draw a box around those that options raise.
    """


def cli_errors(main: Callable[[], None]) -> Callable[[], None]:
    """Turn a :class:`UserError` or Ctrl-C that leaves ``main`` into one line and an exit status.

    Args:
        main: The body of a command-line program.

    Returns:
        The same function, which exits with status 2 after a ``UserError`` and 130 after Ctrl-C.
    """

    @wraps(main)
    def guarded() -> None:
        try:
            main()
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print("interrupted; what was finished so far is kept.", file=sys.stderr)
            sys.exit(130)

    return guarded
