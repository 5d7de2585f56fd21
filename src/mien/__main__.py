"""``python -m mien`` is the command ``mien``."""

import sys

from mien.cli.main import main

sys.exit(main())
