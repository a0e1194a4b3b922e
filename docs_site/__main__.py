"""`python -m docs_site` builds the site into site/; with `write` it writes what docs/ has from the code."""

from __future__ import annotations

import argparse
import subprocess
import sys

from docs_site import ROOT, faq, offline, pictures, staging, translations


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m docs_site", description=__doc__)
    parser.add_argument("task", nargs="?", default="build", choices=("build", "write"))
    return build() if parser.parse_args().task == "build" else write()


def write() -> int:
    """Write what docs/ has from the code: the messages, the pictures of graphs, the table of translations."""
    for part in (faq, pictures, translations):
        part.write()
    return 0


def build() -> int:
    """Build the site; 1 if a link leads nowhere, a name has no docstring, or a page would load from the network."""
    staging.stage()
    # A process of its own: the generator keeps its configuration in globals. `-m` finds docs_site from here.
    done = subprocess.run([sys.executable, "-m", "zensical", "build", "--clean", "--strict"], cwd=ROOT)
    loads = offline.external_loads(ROOT / "site")
    for load in loads:
        print(f"loaded from the network: {load}", file=sys.stderr)
    return 1 if done.returncode or loads else 0


if __name__ == "__main__":
    sys.exit(main())
