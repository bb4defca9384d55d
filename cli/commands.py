"""Commands and groups whose help rich-click draws; it is loaded when help is asked for, not before."""

from typing import Any

import click


class Command(click.Command):
    """A command."""

    def get_help(self, ctx: click.Context) -> str:
        """Draw the help."""
        return draw_help(self, ctx)


class Group(click.Group):
    """A group of commands."""

    command_class = Command

    def get_help(self, ctx: click.Context) -> str:
        """Draw the help."""
        return draw_help(self, ctx)


_FACTS = (
    "name",
    "context_settings",
    "params",
    "help",
    "epilog",
    "short_help",
    "options_metavar",
    "add_help_option",
    "no_args_is_help",
    "hidden",
    "deprecated",
)


def draw_help(command: click.Command, ctx: click.Context) -> str:
    """Draw the help of a command in colours, boxes and columns.

    Parameters
    ----------
    command
        The command.
    ctx
        Of its call.
    """
    from rich_click import RichCommand, RichContext, RichGroup

    ctx.color = True  # rich knows already whether there are colours; click would take them out of a pipe
    facts: dict[str, Any] = {name: getattr(command, name) for name in _FACTS}
    if isinstance(command, click.Group):
        names = command.list_commands(ctx)
        found = {name: one for name in names if (one := command.get_command(ctx, name)) is not None}
        drawn: RichCommand = RichGroup(commands=found, subcommand_metavar=command.subcommand_metavar, **facts)
        drawn.list_commands = lambda _: names  # type: ignore[attr-defined]  # in its order, not the alphabet's
    else:
        drawn = RichCommand(**facts)
    with RichContext(
        drawn, parent=ctx.parent, info_name=ctx.info_name, help_option_names=ctx.help_option_names
    ) as own:
        return drawn.get_help(own)
