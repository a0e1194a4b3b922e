"""A self-contained HTML page of sections and tables: no script, nothing fetched, readable in light and in dark.

Everything given as text is escaped; only `page` and `section` take markup, namely what this module and `chart` made.
"""

from __future__ import annotations

from collections.abc import Sequence

from .html_text import escape

_STYLE = """
:root { color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --soft: #57606a; --rule: #d8dee4; --wash: #f6f8fa; --bar: #b6d4f7;
  --series-1: #0b62c4; --series-2: #c2410c; --series-3: #15803d; --series-4: #8b3fc7; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #0f1318; --ink: #e6eaef; --soft: #9aa5b1; --rule: #30363d; --wash: #171c23; --bar: #24476e;
  --series-1: #66aaff; --series-2: #ff9a5c; --series-3: #56d17c; --series-4: #cf9dff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .5rem; }
p { max-width: 46rem; margin: .5rem 0; }
.lead { font-size: 1.1rem; }
.note, figcaption, caption { color: var(--soft); font-size: .9rem; }
a { color: var(--series-1); }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { padding: .45rem .75rem; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap; }
thead th { border-bottom: 2px solid var(--rule); font-size: .85rem; color: var(--soft); font-weight: 600;
  vertical-align: bottom; }
th:first-child, td.text, th.text { text-align: left; }
tbody th { font-weight: 600; }
td.text { white-space: normal; min-width: 12rem; }
td.bar { background: linear-gradient(to left, var(--bar) var(--share), transparent var(--share));
  background-repeat: no-repeat; background-position: 0 50%; background-size: 100% 1.6em; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1.25rem;
  margin: 1rem 0; }
figure { margin: 0; padding: .9rem 1rem; background: var(--wash); border: 1px solid var(--rule); border-radius: 8px; }
figcaption { color: var(--ink); font-weight: 600; margin-bottom: .25rem; }
svg { display: block; width: 100%; height: auto; color: var(--soft); }
svg text { font-family: system-ui, sans-serif !important; }
.wide svg { min-width: 44rem; }
.digit { width: 2.1rem; color: var(--ink); }
td.wrong { color: var(--series-2); font-weight: 600; }
details { margin: .75rem 0; }
summary { cursor: pointer; color: var(--series-1); }
code { font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
@media print { body { max-width: none; } details { display: block; } }
"""


def page(title: str, lead: str, sections: Sequence[str]) -> str:
    """A whole document; `sections` is markup."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="lead">{escape(lead)}</p>
</header>
<main>
{chr(10).join(sections)}
</main>
</body>
</html>
"""


def section(heading: str, text: str, *parts: str) -> str:
    """A heading, a paragraph and markup below it."""
    paragraph = f"<p>{escape(text)}</p>\n" if text else ""
    return f"<section>\n<h2>{escape(heading)}</h2>\n{paragraph}" + "\n".join(parts) + "\n</section>"


def note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    text: Sequence[int] = (),
    bars: bool = False,
) -> str:
    """A table whose first column heads its rows.

    Args:
        text: columns of prose, set to the left and wrapped; others hold figures.
        bars: whether a bar behind each number shows it against the largest number of the table.
    """
    largest = (
        max((float(str(cell)) for row in rows for cell in row[1:] if _is_number(cell)), default=0.0) if bars else 0.0
    )
    head = "".join(
        _cell("th", name, ' scope="col"' + (' class="text"' if i in text else "")) for i, name in enumerate(columns)
    )
    body = []
    for row in rows:
        cells = [_cell("th", row[0], ' scope="row"')]
        for i, value in enumerate(row[1:], start=1):
            attributes = ' class="text"' if i in text else ""
            if largest and _is_number(value):
                attributes = f' class="bar" style="--share: {100 * float(str(value)) / largest:.1f}%"'
            cells.append(_cell("td", value, attributes))
        body.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>\n'
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n"
        + "\n".join(body)
        + "\n</tbody>\n</table></div>"
    )


def wide(figure: str) -> str:
    """A figure that a narrow screen scrolls instead of shrinking it; `figure` is markup."""
    return f'<div class="scroll wide" tabindex="0">{figure}</div>'


def folded_away(summary: str, *parts: str) -> str:
    """Markup behind a summary that opens it."""
    return f"<details><summary>{escape(summary)}</summary>\n" + "\n".join(parts) + "\n</details>"


def _cell(tag: str, value: object, attributes: str) -> str:
    return f"<{tag}{attributes}>{escape(str(value))}</{tag}>"


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True
