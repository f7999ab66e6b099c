"""Logins that kill, on made-up file systems and with a systemd-run that only execs."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from gputui.config import Config
from gputui.instances.records import Paths, read
from gputui.instances.starting.logins import End, Login, LoginConfig, find_shelter, login_config
from gputui.instances.starting.surroundings import Surroundings
from gputui.instances.status import State
from gputui.instances.supervisor import Supervisor
from tests.instances.conftest import Rig, started, status_of

SESSION = "0::/user.slice/user-1000.slice/session-3.scope\n"
MANAGER = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope\n"
SERVICE = "0::/system.slice/gputui.service\n"
KILLS = "[Login]\nKillUserProcesses=yes\n"


class System:
    """A file system as logind and this process see it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("run/systemd/system/.keep", "")
        self.write("run/user/1000/bus", "")

    def write(self, file: str, text: str) -> None:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def login(self, cgroup: str = SESSION, user: str = "ann") -> Login:
        self.write("proc/self/cgroup", cgroup)
        return Login(self.root, user, 1000, {"PATH": "/usr/bin:/bin"})

    def linger(self, user: str = "ann") -> None:
        self.write(f"var/lib/systemd/linger/{user}", "")


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path / "root")


def program(folder: Path, body: str) -> str:
    """A systemd-run that does ``body``."""
    folder.mkdir(exist_ok=True)
    file = folder / "systemd-run"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


EXECS = 'echo "$@" >> "$0.calls"\nwhile [ "$1" != "--" ]; do shift; done\nshift\nexec "$@"'


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, LoginConfig()),
        ({"etc/systemd/logind.conf": KILLS}, LoginConfig(True)),
        ({"usr/lib/systemd/logind.conf": KILLS}, LoginConfig(True)),
        # The main file of /etc alone counts, as it does for systemd.
        (
            {"usr/lib/systemd/logind.conf": KILLS, "etc/systemd/logind.conf": "[Login]\n"},
            LoginConfig(False),
        ),
        # The file that comes with it shows what it was built with.
        ({"etc/systemd/logind.conf": "[Login]\n#KillUserProcesses=yes\n"}, LoginConfig(True)),
        # Drop-ins are stronger than the main file, and sorted by name over all folders.
        (
            {
                "etc/systemd/logind.conf": KILLS,
                "usr/lib/systemd/logind.conf.d/50-no.conf": "[Login]\nKillUserProcesses=off",
            },
            LoginConfig(False),
        ),
        (
            {
                "usr/lib/systemd/logind.conf.d/60-yes.conf": KILLS,
                "etc/systemd/logind.conf.d/50-no.conf": "[Login]\nKillUserProcesses=no",
            },
            LoginConfig(True),
        ),
        # One of the same name in /etc takes the place of the vendor's.
        (
            {
                "usr/lib/systemd/logind.conf.d/60-yes.conf": KILLS,
                "etc/systemd/logind.conf.d/60-yes.conf": "",
            },
            LoginConfig(False),
        ),
        ({"etc/systemd/logind.conf": "[Other]\nKillUserProcesses=yes"}, LoginConfig(False)),
        (
            {
                "etc/systemd/logind.conf": "[Login]\nKillOnlyUsers=a b\nKillExcludeUsers=c",
                "etc/systemd/logind.conf.d/1.conf": "[Login]\nKillOnlyUsers=\nKillOnlyUsers = d",
            },
            LoginConfig(False, ("d",), ("c",)),
        ),
    ],
)
def test_what_logind_goes_by(system: System, files: dict[str, str], expected: LoginConfig) -> None:
    for file, text in files.items():
        system.write(file, text)
    assert login_config(system.root) == expected


@pytest.mark.parametrize(
    ("config", "user", "kills"),
    [
        (LoginConfig(True), "ann", True),
        (LoginConfig(True), "root", False),
        (LoginConfig(True, None, ()), "root", True),
        (LoginConfig(True, None, ("ann",)), "ann", False),
        (LoginConfig(True, ("bob",)), "ann", False),
        (LoginConfig(False, ("ann",)), "ann", True),
        (LoginConfig(False), "ann", False),
    ],
)
def test_whose_processes_end(config: LoginConfig, user: str, kills: bool) -> None:
    assert config.kills(user) is kills


@pytest.mark.parametrize(
    ("cgroup", "kills", "lingers", "end"),
    [
        (SESSION, True, False, End.SESSION),
        (SESSION, True, True, End.SESSION),  # lingering keeps the manager, not the session
        (SESSION, False, False, End.NONE),
        (MANAGER, False, False, End.MANAGER),  # no setting of logind's keeps that
        (MANAGER, True, True, End.NONE),
        (SERVICE, True, False, End.NONE),
        ("", True, False, End.NONE),
        (f"1:name=systemd:{SESSION[3:]}", True, False, End.SESSION),  # cgroup v1
    ],
)
def test_what_ends_a_server(
    system: System, cgroup: str, kills: bool, lingers: bool, end: End
) -> None:
    system.write("etc/systemd/logind.conf", KILLS if kills else "")
    if lingers:
        system.linger()
    assert system.login(cgroup).end() is end


def test_without_systemd_nothing_ends(tmp_path: Path) -> None:
    system = System(tmp_path)
    (tmp_path / "run/systemd/system/.keep").unlink()
    (tmp_path / "run/systemd/system").rmdir()
    system.write("etc/systemd/logind.conf", KILLS)
    assert system.login().end() is End.NONE


def test_the_remedy_is_told(system: System, tmp_path: Path) -> None:
    system.write("etc/systemd/logind.conf", KILLS)
    shelter = find_shelter(system.login(), "auto", program(tmp_path, EXECS))
    assert shelter.prefix == ()
    assert "the end of this login session" in shelter.warning
    assert "loginctl enable-linger ann" in shelter.hint
    assert find_shelter(system.login(), "never").warning == ""


def test_a_scope_that_cannot_be_had_is_told(system: System, tmp_path: Path) -> None:
    system.write("etc/systemd/logind.conf", KILLS)
    system.linger()
    broken = find_shelter(system.login(), "auto", program(tmp_path, "exit 1"))
    assert broken.prefix == ()
    assert "does not work here" in broken.hint
    missing = find_shelter(system.login(), "auto", str(tmp_path / "no"))
    assert "Install systemd-run" in missing.hint
    (system.root / "run/user/1000/bus").unlink()
    assert find_shelter(system.login(), "auto", program(tmp_path, EXECS)).prefix == ()


async def test_a_server_in_a_scope_is_ours_like_any_other(
    rig: Rig, system: System, tmp_path: Path
) -> None:
    """Record, marker, another session and the stop, through a systemd-run that execs."""
    system.write("etc/systemd/logind.conf", KILLS)
    system.linger()
    systemd_run = program(tmp_path / "bin", EXECS)
    surroundings = Surroundings("auto", login=system.login(), systemd_run=systemd_run)
    rig.add("a", {"dump": str(tmp_path / "dump")}, cpus="0")
    config = Config(instances=tuple(rig.instances))
    session = Supervisor(config, (), rig.state, surroundings=surroundings)
    rig.sessions.append(session)
    status = await started(session, "a")
    assert await session.login_warning() is None
    record = read(Paths(rig.state).record("a"))
    assert record is not None
    assert record.scope.startswith("gputui-a-")
    assert record.scope.endswith(".scope")
    assert record.argv[0] == rig.instances[0].llama_server
    facts = json.loads((tmp_path / "dump").read_text())
    assert facts["pid"] == record.pid == status.pid
    assert facts["environment"]["XDG_RUNTIME_DIR"] == "/run/user/1000"
    calls = (tmp_path / "bin/systemd-run.calls").read_text()
    assert f"--user --scope --quiet --collect --unit={record.scope} -- {record.argv[0]}" in calls
    other = rig.session()
    assert (await status_of(other, "a")).owned
    await other.stop("a")
    assert (await status_of(session, "a")).state is State.STOPPED
