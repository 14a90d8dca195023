"""Writes `cli.md`: what `--help` says, of every command.

    python docs/make_cli.py
"""

from __future__ import annotations

from pathlib import Path

import click

from matcher.cli import cli

WIDTH = 100


def helps(command: click.Command, name: str) -> str:
    """A command's own help, as wide as the page."""
    context = command.context_class(command, info_name=name, max_content_width=WIDTH, terminal_width=WIDTH)
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def page() -> str:
    """The whole reference."""
    parts = ["# Command line", "", "Made by `python docs/make_cli.py` from the program itself.", ""]
    parts += ["## match", "", "```text", helps(cli, "match"), "```", ""]
    for name in cli.list_commands(click.Context(cli)):
        command = cli.commands[name]
        parts += [f"## match {name}", "", "```text", helps(command, f"match {name}"), "```", ""]
        for own, below in getattr(command, "commands", {}).items():
            parts += [f"### match {name} {own}", "", "```text", helps(below, f"match {name} {own}"), "```", ""]
    return "\n".join(parts)


if __name__ == "__main__":
    Path(__file__).with_name("cli.md").write_text(page(), encoding="utf-8")
