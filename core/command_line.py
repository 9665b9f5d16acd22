"""Reads the options of a program from its command line."""

from __future__ import annotations

import dataclasses
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import cache
from types import MappingProxyType
from typing import TypeVar

import docstring_parser
import tyro
from tyro.constructors import ConstructorRegistry, StructTypeInfo

from core.text import printable

T = TypeVar("T")
_registry = ConstructorRegistry()


def parse(
    options: type[T],
    *,
    description: str | None = None,
    prog: str | None = None,
    args: Sequence[str] | None = None,
) -> T:
    """Read a dataclass, or a union of dataclasses as subcommands.

    Args:
        options: Its fields are the options; the docstring under each is its help.
        description: What the program does; the docstring of ``options`` by default. Indented lines
            stay lines of their own.
        prog: How the program is called; by default the name of its file.
        args: The arguments; those of the process by default.
    """
    with _registry, _escaped_messages(sys.argv[1:] if args is None else args):
        return tyro.cli(
            options, prog=prog, description=description, args=args, use_underscores=True
        )


@contextmanager
def _escaped_messages(args: Sequence[str]) -> Iterator[None]:
    """Escape what messages repeat of arguments that would do something to a terminal."""
    if all(printable(arg) == arg for arg in args):
        yield
        return
    messages = io.StringIO()
    try:
        with redirect_stderr(messages):
            yield
    finally:
        for line in messages.getvalue().splitlines():
            print(printable(line), file=sys.stderr)


@_registry.struct_rule
def _help_without_line_breaks(info: StructTypeInfo) -> None:
    """Give tyro help texts to wrap by itself; it keeps the line breaks of a docstring."""
    if isinstance(info.type, type) and dataclasses.is_dataclass(info.type):
        _join_help_lines(info.type)


@cache
def _join_help_lines(options: type) -> None:
    texts: dict[str, str] = {}
    for base in reversed(options.__mro__[:-1]):
        for entry in docstring_parser.parse_from_object(base).params:
            texts[entry.arg_name] = " ".join((entry.description or "").split())
    for field in dataclasses.fields(options):
        if field.name in texts:
            field.metadata = MappingProxyType({**field.metadata, "help": texts[field.name]})
