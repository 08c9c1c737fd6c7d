"""`python -m cardproof`, the same as `cardproof`."""

import sys

from cardproof.cli import main

sys.exit(main())
