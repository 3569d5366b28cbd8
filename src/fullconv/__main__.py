"""``python -m fullconv`` is the command ``fullconv``."""

import sys

from fullconv.cli import main

sys.exit(main())
