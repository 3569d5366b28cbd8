"""Execute the code cells of notebooks one after the other, as a reader does, and say how long that took; an error ends it.

    python docs/make/notebook.py                       all of examples/notebook
    python docs/make/notebook.py NOTEBOOK.ipynb …

Cells are plain Python, so neither Jupyter nor a kernel is needed. Drawings are made and shown to nobody.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl

FOLDER = Path(__file__).parents[2] / "examples" / "notebook"


def execute(notebook: Path) -> dict[str, Any]:
    """Return the names that a notebook's cells leave; an error of a cell is raised as it is."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{notebook.name}, cell {number}", "exec"), names)
    return names


def main(paths: list[Path]) -> None:
    """Execute notebooks."""
    mpl.use("agg")
    for path in paths or sorted(FOLDER.glob("*.ipynb")):
        start = time.process_time()
        execute(path)
        print(f"{path.name}: {time.process_time() - start:.0f} s of processor time")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
