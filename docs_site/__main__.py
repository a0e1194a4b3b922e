"""`python -m docs_site` builds the site into site/; `faq` and `pictures` write anew what is generated in docs/."""

from __future__ import annotations

import argparse
import subprocess
import sys

from docs_site import ROOT, faq, pictures, staging


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m docs_site", description=__doc__)
    parser.add_argument("task", nargs="?", default="build", choices=("build", "faq", "pictures"))
    task = parser.parse_args().task
    if task == "faq":
        faq.write()
    elif task == "pictures":
        pictures.write()
    else:
        staging.stage()
        # A process of its own: the generator keeps its configuration in globals. `-m` finds docs_site.mathml from here.
        return subprocess.run([sys.executable, "-m", "zensical", "build", "--clean", "--strict"], cwd=ROOT).returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
