"""The blocks of a report, whatever sections they stand in."""

from __future__ import annotations

from optimizer.report.blocks import Block, Document, Section, Table


def blocks(part: Document | Section) -> list[Block]:
    """Return all blocks of a report or a section, in order."""
    if isinstance(part, Document):
        return [*part.summary, *(block for section in part.sections for block in blocks(section))]
    return [b for inner in part.blocks for b in (blocks(inner) if isinstance(inner, Section) else [inner])]


def tables(part: Document | Section) -> dict[str, Table]:
    """Return the tables by caption."""
    return {block.caption: block for block in blocks(part) if isinstance(block, Table)}
