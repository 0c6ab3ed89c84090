"""The look of `--help`: commands and options in groups, with headings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

Groups = Mapping[str, Sequence[str]]


class Command(click.Command):
    """A command whose options are listed under headings: `groups` names the options of each."""

    def __init__(self, *arguments: Any, groups: Groups | None = None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.groups = groups or {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups in their order, and under `Options` what is in none of them."""
        options = {param.opts[0]: param for param in self.get_params(ctx) if isinstance(param, click.Option)}
        grouped = [name for names in self.groups.values() for name in names]
        rest = [name for name in options if name not in grouped]
        for heading, names in {**self.groups, "Options": rest}.items():
            records = [options[name].get_help_record(ctx) for name in names]
            with formatter.section(heading):
                formatter.write_dl([record for record in records if record is not None])


class SectionedGroup(click.Group):
    """A group whose commands are listed under headings, in the order in which they are met."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.sections: dict[str, list[str]] = {}

    def add_section(self, heading: str, *commands: click.Command) -> None:
        """Add commands under a heading."""
        self.sections[heading] = [str(command.name) for command in commands]
        for command in commands:
            self.add_command(command)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, section by section."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section with the short help of its commands."""
        width = max(map(len, self.commands))
        for heading, names in self.sections.items():
            with formatter.section(heading):
                rows = [(name.ljust(width), self.commands[name].get_short_help_str(limit=80)) for name in names]
                formatter.write_dl(rows)
