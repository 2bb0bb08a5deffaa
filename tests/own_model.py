"""What the documentation prints, for tests that run it as it stands."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def code_block(page, language):
    """Return the one block of a language on a page of docs/."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / f"docs/{page}.md").read_text(), re.S)
    return block
