"""Writes `cli.md`: what `--help` says, of every command.

    python docs/make_cli.py
"""

from __future__ import annotations

from pathlib import Path

import click

from matcher.cli import cli

WIDTH = 100


def helps(command: click.Command, name: str, parent: click.Context | None = None) -> tuple[str, click.Context]:
    """A command's own help, as wide as the page, and its context, which those below it inherit from."""
    widths = {"max_content_width": WIDTH, "terminal_width": WIDTH}
    context = command.context_class(command, info_name=name, parent=parent, **widths, **command.context_settings)
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines()), context


def page() -> str:
    """The whole reference."""
    parts = ["# Command line", "", "Made by `python docs/make_cli.py` from the program itself.", ""]

    def add(level: str, title: str, command: click.Command, parent: click.Context | None = None) -> click.Context:
        text, context = helps(command, title.rpartition(" ")[2], parent)
        parts.extend([f"{level} {title}", "", "```text", text, "```", ""])
        return context

    top = add("##", "match", cli)
    for name in cli.list_commands(top):
        own = add("##", f"match {name}", cli.commands[name], top)
        for below, command in getattr(cli.commands[name], "commands", {}).items():
            add("###", f"match {name} {below}", command, own)
    return "\n".join(parts)


if __name__ == "__main__":
    Path(__file__).with_name("cli.md").write_text(page(), encoding="utf-8")
