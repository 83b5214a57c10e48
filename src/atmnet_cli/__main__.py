"""``python -m atmnet_cli``, which torchrun needs."""

import sys

from atmnet_cli.command import main

sys.exit(main())
