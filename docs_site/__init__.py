"""Makes the documentation site from docs/, the docstrings and the figures: `python -m docs_site`.

Nothing here is installed with the package, and nothing in the package knows of it.
"""

from pathlib import Path

ROOT = Path(__file__).parents[1]
