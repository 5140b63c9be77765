"""The explorer's tests run with the JIT disabled: `NUMBA_DISABLE_JIT=1 pytest tests/explore`.

`tests/test_explore.py` runs them so.
"""

from numba import config

collect_ignore_glob = [] if config.DISABLE_JIT else ["test_*.py"]
