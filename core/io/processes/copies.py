"""Work in copies of this process, which need not import again what it has imported."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from core.checks import UserError

R = TypeVar("R")


def in_copies(function: Callable[[int], R], count: int) -> list[R]:
    """Return what a function gives for 0, 1, ..., each computed by a copy of this process.

    Only for a process that runs one thread of its own: others' locks stay as they are in a copy.

    Args:
        function: What it returns and raises is sent here; what else it changes stays in the copy.
        count: How many copies there are.

    Raises:
        UserError: If a copy is gone.
    """
    context = get_context("fork")
    copies = []
    try:
        for number in range(count):
            answers, to_send = context.Pipe(duplex=False)
            copy = context.Process(target=_answer, args=(to_send, function, number))
            copy.start()
            copies.append((copy, answers))
            to_send.close()  # so that its end is seen
        return [_result(answers) for _, answers in copies]
    finally:
        for copy, _ in copies:
            copy.kill()  # it has answered, or another one has failed
            copy.join()


def _answer(to_send: Connection, function: Callable[[int], object], number: int) -> None:
    try:
        answer = (False, function(number))
    except Exception as error:
        answer = (True, error)
    to_send.send(answer)


def _result(answers: Connection) -> Any:
    try:
        raised, value = answers.recv()
    except EOFError:
        message = "a copy of a process has ended; was it killed for want of memory?"
        raise UserError(message) from None
    if raised:
        raise value
    return value
