"""It is of use to any Textual program: nothing of this one is loaded by it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gputui.ui.terminal

PLACE = "gputui.ui.terminal"
MODULES = sorted(file.stem for file in Path(gputui.ui.terminal.__file__).parent.glob("*.py"))


def test_it_loads_nothing_of_this_program() -> None:
    imports = "; ".join(f"import {PLACE}.{module}" for module in MODULES if module != "__init__")
    code = f"import sys; {imports}; print(*(name for name in sys.modules if name.startswith('gputui')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert f"{PLACE}.picture" in loaded
    assert {name for name in loaded if not name.startswith(PLACE)} == {"gputui", "gputui.ui"}


def test_the_picture_loads_no_textual() -> None:
    code = f"import sys, {PLACE}.picture; print('textual' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
