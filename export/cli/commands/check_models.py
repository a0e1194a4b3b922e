"""`keras-norms check`: models and the files that are kept of them, held to a policy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..session import session
from .common_options import PATH, json_option, traceback_option

if TYPE_CHECKING:
    from ..checking.check_results import Check


@click.command(short_help="Hold models and their files to a policy, for CI.")
@click.argument("models", type=PATH, nargs=-1, metavar="[MODEL|FOLDER ...]")
@click.option(
    "--policy",
    "policy_file",
    type=PATH,
    default=Path("keras-norms.toml"),
    show_default=True,
    metavar="FILE",
    help="What is asked of the models.",
)
@click.option("--update", is_flag=True, help="Write kept files that are missing, outdated or wrong, and certificates.")
@click.option("--junit", type=PATH, metavar="FILE.xml", help="Also write the checks as JUnit XML.")
@click.option("--sarif", type=PATH, metavar="FILE.sarif", help="Also write the failures as SARIF, for code scanning.")
@click.option("--summary", type=PATH, metavar="FILE.md", help="Also append a summary, as for $GITHUB_STEP_SUMMARY.")
@json_option
@traceback_option
def check(
    models: tuple[Path, ...],
    policy_file: Path,
    update: bool,
    junit: Path | None,
    sarif: Path | None,
    summary: Path | None,
    as_json: bool,
    show_traceback: bool,
) -> None:
    """Check every model that keras-norms.toml names, or only those given; a FOLDER stands for the models in it.

    Exports, kept files, certificates, noise, sizes, times and norms are held to the policy. Without --update nothing is
    written beside the models. docs/check.md has every key of a policy.
    """
    from ..checking.check_table import lines, total
    from ..checking.report_files import ReportFiles
    from ..checking.run_checks import run_checks
    from ..policy.find_models import chosen_models, find_models
    from ..policy.plan_models import check_overrides, plan_models
    from ..policy.read_policy import read_policy

    files = ReportFiles(junit, sarif, summary)
    files.check()
    policy = read_policy(policy_file)
    named = find_models(policy)
    chosen = chosen_models(policy, named, models)
    check_overrides(policy, [*named, *chosen])
    plans = plan_models(policy, chosen, update=update)
    all_plans = plan_models(policy, named, update=update)
    with session(show_traceback, libraries=False) as terminal:

        def show(model: str, checks: Sequence[Check]) -> None:
            if not as_json:
                terminal.lines(lines(policy_file, model, checks))

        run = run_checks(policy, plans, all_plans, status=terminal.status, show=show, verbose=show_traceback)
        files.write(run)
        if as_json:
            terminal.lines(json.dumps(run.to_dict(), indent=2).split("\n"))
        else:
            terminal.line(total(run))
    if not run.ok:
        raise click.exceptions.Exit(1)
