"""Make the package's files of a trained model: float16 weights, compared with the model's own labels, and the card.

python models/voc-subset/make.py RUN/model.safetensors --report REPORT --license LICENCE --images PHOTO …
"""

import argparse
import sys
from pathlib import Path

from fullconv.errors import FullconvError
from fullconv.interop.card import gather, write_card
from fullconv.interop.half import write_half

HERE = Path(__file__).parent
NAME = "voc-subset"
MOST_BYTES = 10_000_000


def main(arguments: list[str] | None = None, folder: Path = HERE) -> int:
    """Write ``model.safetensors``, ``README.md`` and its picture into the package's folder; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="model.safetensors in the folder of its run")
    parser.add_argument("--report", type=Path, action="append", default=[], help="folder of `fullconv evaluate --out` for it")
    parser.add_argument("--license", help="of the model, as the hub calls it")
    parser.add_argument(
        "--images", type=Path, nargs="+", required=True, help="photographs to compare labels on; the first is drawn"
    )
    given = parser.parse_args(arguments)
    out = folder / "src" / "fullconv_voc_subset" / "model.safetensors"
    try:
        done = write_half(given.checkpoint, out, given.images)
        if done.bytes > MOST_BYTES:
            out.unlink()
            raise FullconvError(f"the model takes {done.bytes:,} bytes in float16, and the package may have {MOST_BYTES:,}")
        facts = gather(given.checkpoint, given.report, given.license, called=NAME, file=out)
        write_card(facts, folder / "README.md", given.images[0])
    except FullconvError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{out}: {done.bytes:,} bytes; {100 * done.changed:.4f} % of {done.pixels:,} pixels have another label than in float32")
    return 0


if __name__ == "__main__":
    sys.exit(main())
