"""The database under several users in one program, and several programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gputui.database import Database

COUNT = """
import sys
from pathlib import Path
from gputui.database import Database
database = Database(Path(sys.argv[1]), "")
with database.transaction() as connection:
    print(connection.execute("SELECT count(*) FROM conversations").fetchone()[0])
database.close()
"""


def seen_by_another_program(path: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(path)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_what_is_written_is_seen_by_others_however_often_they_open_and_close_it(
    tmp_path: Path,
) -> None:
    """A second user in the same program must not take the first one's locks by opening the file."""
    path = tmp_path / "gputui.db"
    first, second = Database(path, ""), Database(path, "")
    for count in (1, 2):
        with first.transaction() as connection:
            connection.execute("INSERT INTO conversations (created_at) VALUES (0)")
        with second.transaction() as connection:
            assert connection.execute("SELECT count(*) FROM conversations").fetchone()[0] == count
        assert seen_by_another_program(path) == count
    first.close()
    second.close()
    assert seen_by_another_program(path) == 2
