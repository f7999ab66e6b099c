from __future__ import annotations

from pathlib import Path

import pytest

from tests.instances.torture.rig import compile_server
from tests.support.standin_nvml import NoCompilerError


@pytest.fixture(scope="session")
def server_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server that starts at once, compiled."""
    try:
        return compile_server(tmp_path_factory.mktemp("server"))
    except NoCompilerError as error:
        pytest.skip(str(error))
