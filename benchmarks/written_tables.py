"""Tables of README.md files that scripts write, between `<!-- NAME ... -->` and `<!-- end -->`."""

import re


def _between(name):
    return re.compile(rf"(<!-- {re.escape(name)}[^\n]* -->\n).*?(<!-- end -->)", re.DOTALL)


def write(page, name, table):
    """Put `table` in the place of the one of this name."""
    text, count = _between(name).subn(lambda found: f"{found[1]}{table.rstrip()}\n{found[2]}", page.read_text())
    if count != 1:
        raise ValueError(f"{page.name} has {count} places for '{name}'; one is needed.")
    page.write_text(text)


def is_written(page, name, table):
    """Whether the page has this table."""
    found = _between(name).search(page.read_text())
    return found is not None and found[0].split("\n", 1)[1] == f"{table.rstrip()}\n<!-- end -->"
