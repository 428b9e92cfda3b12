"""A notebook without a browser, as a program: each line that it is given is a cell.

What is displayed, and how each cell ended, is printed as one line of JSON each.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


class Printer(DisplayPublisher):
    """Prints what a notebook would display."""

    def publish(
        self,
        data: Any,
        metadata: Any = None,
        source: Any = None,
        *,
        transient: Any = None,
        update: Any = False,
        **_: Any,
    ) -> None:
        """Print one thing, or what it changes to."""
        tell(shown=data, where=transient["display_id"])


def tell(**fields: object) -> None:
    """Print one line."""
    print(json.dumps(fields), flush=True)


def main() -> None:
    """Run cells until there are no more."""
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=config, display_pub_class=Printer)
    for cell in sys.stdin:
        ended = shell.run_cell(cell)
        tell(ended=type(ended.error_in_exec).__name__ if ended.error_in_exec else "well")


if __name__ == "__main__":
    main()
