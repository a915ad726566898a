"""What does not use keys does not pay for them."""

from __future__ import annotations

import subprocess
import sys


def test_cryptography_is_loaded_with_the_first_use() -> None:
    program = "import sys; from havre.services import kms; kms.service(); print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
