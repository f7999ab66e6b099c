"""Logins that kill: whether what is started here ends when its user logs out, and the way round that.

systemd-logind ends the processes of a session at logout where KillUserProcesses= says so
(logind.conf(5)); whatever runs under a user's own service manager ends with that, at the last logout.
A scope of its own under a manager that lingers outlives both.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Literal

_TRY_SECONDS = 10.0
_VENDOR = ("usr/lib/systemd", "usr/local/lib/systemd", "run/systemd", "etc/systemd")
"""Where logind's configuration lies, the later the stronger."""
_TRUE = frozenset({"1", "yes", "y", "true", "t", "on"})


class End(Enum):
    """What ends a process that is started from here."""

    NONE = "nothing"
    SESSION = "the end of this login session"
    MANAGER = "the user's last logout"


@dataclass(frozen=True, slots=True)
class LoginConfig:
    """The keys of logind.conf that decide; None where nothing says so.

    Without any file logind kills none where its maker built it so, as all large distributions do;
    the commented line of the file that comes with it says which.
    """

    kill_user_processes: bool = False
    kill_only: tuple[str, ...] | None = None
    kill_exclude: tuple[str, ...] | None = None

    def kills(self, user: str) -> bool:
        """Whether the session processes of ``user`` end at logout."""
        excluded = ("root",) if self.kill_exclude is None else self.kill_exclude
        if user in excluded:
            return False
        return user in self.kill_only if self.kill_only else self.kill_user_processes


@dataclass(frozen=True, slots=True)
class Login:
    """How this process was logged in. ``root`` is the file system; the rest is of this process.

    ``environment`` is that of this process, ``user`` its name, ``uid`` its id.
    """

    root: Path = Path("/")
    user: str = ""
    uid: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    cgroup: Path = Path("proc/self/cgroup")

    @property
    def lingers(self) -> bool:
        """Whether the user's service manager goes on after the last logout (loginctl(1))."""
        return (self.root / "var/lib/systemd/linger" / self.user).exists()

    @property
    def runtime_dir(self) -> str:
        """XDG_RUNTIME_DIR, also where su or sudo left it out."""
        return self.environment.get("XDG_RUNTIME_DIR") or f"/run/user/{self.uid}"

    @property
    def has_bus(self) -> bool:
        """Whether the user's service manager can be asked for a scope."""
        folder = self.root / self.runtime_dir.lstrip("/")
        return any((folder / name).exists() for name in ("bus", "systemd/private"))

    def end(self) -> End:
        """What ends a process that is started from here."""
        if not (self.root / "run/systemd/system").exists():  # sd_booted(3)
            return End.NONE
        groups = self._cgroups()
        if re.search(rf"/user@{self.uid}\.service(/|$)", groups, re.M):
            return End.NONE if self.lingers else End.MANAGER
        if re.search(r"/session-[^/\n]+\.scope", groups) and self._kills():
            return End.SESSION
        return End.NONE

    def _kills(self) -> bool:
        return login_config(self.root).kills(self.user)

    def _cgroups(self) -> str:
        with contextlib.suppress(OSError):
            return (self.root / self.cgroup).read_text()
        return ""


@dataclass(frozen=True, slots=True)
class Shelter:
    """The way round, if one is needed, or what is to be told where there is none.

    ``prefix`` is the program that makes a scope, ``variables`` is what it needs in its environment.
    """

    prefix: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""
    hint: str = ""

    def scope(self, name: str) -> str:
        """The name of a new scope for an instance, "" where it needs none."""
        return f"gputui-{name}-{secrets.token_hex(4)}.scope" if self.prefix else ""


def this_login() -> Login:
    """The login of this process."""
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    return Login(user=user, uid=uid, environment=dict(os.environ))


def find_shelter(
    login: Login, mode: Literal["auto", "never"], program: str = "systemd-run"
) -> Shelter:
    """Whether servers need a scope of their own, and what is to be told where they cannot have one.

    Blocks: systemd-run is tried, once. ``never``: no scope and no word.
    """
    end = login.end() if mode == "auto" else End.NONE
    if end is End.NONE:
        return Shelter()
    command = shutil.which(program)
    if login.lingers and command and login.has_bus:
        variables = {"XDG_RUNTIME_DIR": login.runtime_dir}
        prefix = (command, "--user", "--scope", "--quiet", "--collect")
        if _works(prefix, {**login.environment, **variables}):
            return Shelter(prefix, variables)
    warning = f"servers started here stop at {end.value}: systemd ends them"
    if not login.lingers:
        hint = f"To keep them: loginctl enable-linger {login.user}"
    elif not command:
        hint = "Install systemd-run, or start gputui from a place that no logout ends."
    else:
        hint = "systemd-run --user --scope true does not work here; its words say why."
    return Shelter(warning=warning, hint=f'{hint}. To hear no more of it: login_scope = "never"')


def sheltered(prefix: Sequence[str], scope: str) -> tuple[str, ...]:
    """What comes before a command so that it runs in a scope of that name.

    systemd-run makes the scope around itself and then execs the command, so the process stays the one
    that was started: same pid, start time, parent and environment.
    """
    return (*prefix, f"--unit={scope}", "--")


def login_config(root: Path) -> LoginConfig:
    """What logind goes by: the strongest main file, then drop-ins by name over all folders.

    A drop-in of the same name in a stronger folder replaces the weaker one (logind.conf(5)).
    """
    values: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    folders = [root / folder for folder in _VENDOR]
    main = next((f for f in (d / "logind.conf" for d in reversed(folders)) if f.is_file()), None)
    drop_ins: dict[str, Path] = {}
    for folder in folders:
        for file in sorted((folder / "logind.conf.d").glob("*.conf")):
            drop_ins[file.name] = file
    default = _built_in(folders)
    for source in (main, *(drop_ins[name] for name in sorted(drop_ins))):
        if source is not None:
            _read(source, values, lists)
    kill = values.get("KillUserProcesses", "")
    return LoginConfig(
        kill_user_processes=kill.lower() in _TRUE if kill else default,
        kill_only=_names(lists, "KillOnlyUsers"),
        kill_exclude=_names(lists, "KillExcludeUsers"),
    )


def _names(lists: Mapping[str, Sequence[str]], key: str) -> tuple[str, ...] | None:
    return tuple(lists[key]) if key in lists else None


def _read(file: Path, values: dict[str, str], lists: dict[str, list[str]]) -> None:
    """Add the keys of one file; an empty list takes back what came before it."""
    section = ""
    for line in _lines(file):
        if line.startswith("["):
            section = line
        elif section == "[Login]" and not line.startswith(("#", ";")):
            key, equals, value = (part.strip() for part in line.partition("="))
            if equals and key == "KillUserProcesses":
                values[key] = value
            elif equals and key in ("KillOnlyUsers", "KillExcludeUsers"):
                lists[key] = [*lists.get(key, ()), *value.split()] if value else []


def _built_in(folders: Sequence[Path]) -> bool:
    """The default that logind was built with, as the commented line of its own file shows it."""
    for folder in folders:
        for line in _lines(folder / "logind.conf"):
            if found := re.match(r"#\s*KillUserProcesses=(\w+)", line):
                return found[1].lower() in _TRUE
    return False


def _lines(file: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return [line.strip() for line in file.read_text(errors="replace").splitlines()]
    return []


def _works(prefix: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether a scope can be had: files alone do not say it."""
    try:
        done = subprocess.run(
            [*prefix, "--", "true"],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TRY_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
