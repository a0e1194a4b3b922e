"""What `keras-norms --version` says: the versions that decide what a file looks like and computes."""

from __future__ import annotations

import platform

import click


def tell_versions(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    """Print them and end. They are read from metadata: nothing is imported."""
    if not asked or context.resilient_parsing:
        return
    from .doctor.parts import PROJECT, RUNTIMES, installed

    click.echo(f"{PROJECT} {installed(PROJECT) or 'unknown'}")
    named = [("Python", platform.python_version()), *((package, installed(package)) for package in RUNTIMES)]
    for name, number in named:
        click.echo(f"  {name} {number or '(not installed)'}")
    context.exit()
