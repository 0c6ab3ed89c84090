"""MkDocs hooks: plain info strings, generated reference pages, notebooks as pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import notebooks
import reference
from mkdocs.structure.files import File, Files

FOLDER = Path(__file__).parent
_FENCE = re.compile(r"^(\s*)```(\w+) (.+)$", re.MULTILINE)
_SEARCH = 'data-md-component="search" role="dialog"'
_GENERATED = re.compile(r"^<!-- generated: ([\w-]+) -->$", re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each notebook, and the README's pictures."""
    for path in sorted((FOLDER / "notebooks").glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=notebooks.to_markdown(path)))
    for picture in sorted((FOLDER.parent / "tests" / "pictures").glob("*.png")):
        files.append(File.generated(config, f"assets/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the generated parts in, and leave of a fence's info string what Markdown knows."""
    filled = _GENERATED.sub(lambda match: reference.PARTS[match[1]](), markdown)
    return _FENCE.sub(_plain, filled)


def on_post_page(output: str, **_: Any) -> str:
    """Give the theme's search box a name for those who hear the page."""
    return output.replace(_SEARCH, f'{_SEARCH} aria-label="Search"')


def _plain(match: re.Match[str]) -> str:
    """Keep the language; the marks after it say how tests/docs runs the block (`file=` becomes its title)."""
    indent, language, marks = match.groups()
    file = re.search(r"\bfile=(\S+)", marks)
    return f"{indent}```{language}" + (f' title="{file[1]}"' if file else "")
