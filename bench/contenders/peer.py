"""peer.py save|load: one operation of b10-transfer 0.4.1 as a user's process runs it; its settings are in the environment."""
import sys

import b10_transfer

status = getattr(b10_transfer, f"{sys.argv[1]}_compile_cache")()
print(status.name)
sys.exit(0 if status.name == "SUCCESS" else 1)
