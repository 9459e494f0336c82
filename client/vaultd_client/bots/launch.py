r"""The program that starts the bot: the standard library only, in an interpreter that never held a secret.

    python -I -S launch.py PLAN COMMAND [ARGUMENT ...]      PLAN: a descriptor with the JSON of `launcher.py`
    python -I -S launch.py probe                            ends with 0 where private mounts work

`vaultctl run` becomes this program by execve(2), so the memory that held the plaintext is gone before the bot lives. The
plaintext is in sealed memory files (memfd_create(2)), of which this program only knows the numbers. It forks once:

* The child takes what is meant for it and becomes the bot. A file that a bot insists on finding at a fixed path is put
  there in a mount namespace of the child's own (mount_namespaces(7)): a tmpfs that no path leads to from outside, and
  that the kernel takes away with the last process in it. An ordinary user gets the right to mount from a user namespace
  in which every id is what it was; execve takes the right away again. Whatever is killed, and when, nothing is left.
* The parent closes its copies, passes signals on, and ends as the bot has ended. It holds no plaintext. When it is
  killed, the bot gets SIGTERM.

Signals: the terminal sends its own (Ctrl-C, Ctrl-Z) to the whole process group, and so to the bot; they come with
si_code SI_KERNEL and are not passed on a second time. What `kill` sends to this process alone is. When the bot stops,
this process stops, so that a shell sees a stopped job; SIGCONT wakes both. The bot's own end by a signal is repeated
here: a shell says 128 + n, systemd sees the signal.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

AT_ONCE_SECONDS = 10.0
"""A bot that ends with an error before this has not begun to work: that is worth a line."""
CANNOT_FEED, CANNOT_RUN, NOT_FOUND = 125, 126, 127
"""What env(1) ends with: it failed itself, the command cannot be run, the command is not there."""
PASSED_ON = frozenset({
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGCONT,
    signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGWINCH,
})  # fmt: skip
MEANT = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE})
"""A bot that ends by one of these was told to."""
_FROM_TERMINAL = 0x80  # SI_KERNEL, <asm-generic/siginfo.h>
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15  # <linux/prctl.h>
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000  # <linux/sched.h>
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_SLAVE = 2, 4, 8, 0x1000, 0x4000, 0x80000  # <linux/mount.h>
_MNT_DETACH = 2
_SCRATCH = "/tmp"  # noqa: S108 - covered for a moment, in a namespace of our own
_SIZE = "size=64m"

_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> NoReturn:
    """Starts the bot and ends as it ends; as probe, says whether private mounts work."""
    _checked("prctl", _PR_SET_NAME, b"vaultctl run", 0, 0, 0)
    if arguments == ["probe"]:
        enter_namespace()
        mount_tmpfs(_SCRATCH)
        os._exit(0)
    plan = json.loads(read_all(int(arguments[0])))
    os.close(int(arguments[0]))
    command = arguments[1:]
    if not plan["supervise"]:
        run_bot(plan["steps"], command, lambda code, text: fail(command, code, text))
    # Ignored by whoever started us, it would take the bot's end away, and we would wait for ever.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON | {signal.SIGCHLD})
    started = time.monotonic()
    bot = start(plan, command)
    status, told = supervise(bot)
    if not told:
        report(command[0], status, time.monotonic() - started)
    end_like(status)


# --- the child ------------------------------------------------------------------------------------------------------


def start(plan: dict[str, Any], command: list[str]) -> int:
    """Forks the bot and returns its pid when it runs; ends this program where it cannot."""
    reading, writing = os.pipe()  # both close on exec: the end of it says that the bot runs
    parent = os.getpid()
    bot = os.fork()
    if bot == 0:
        os.close(reading)
        run_bot(plan["steps"], command, lambda code, text: tell(writing, code, text), parent)
    os.close(writing)
    for number in (number for step in plan["steps"] for number in step["fds"]):
        os.close(number)
    failure = read_all(reading).decode()
    os.close(reading)
    if failure:
        os.waitpid(bot, 0)
        code, _, text = failure.partition(" ")
        fail(command, int(code), text)
    return bot


def run_bot(
    steps: Iterable[dict[str, Any]], command: list[str], failed: Callable[[int, str], NoReturn], parent: int = 0
) -> NoReturn:
    """Takes what the bot is given and becomes the bot; where that fails, says so and ends."""
    code, text = CANNOT_FEED, "the bot cannot be given its keys"
    try:
        environment = take(steps)
        if parent:
            die_with(parent)
        restore_signals()
        code, text = CANNOT_RUN, "cannot be run"
        os.execvpe(command[0], command, environment)  # noqa: S606 - what the person typed
    except FileNotFoundError as error:
        if code == CANNOT_RUN:
            failed(NOT_FOUND, "is not there")
        failed(code, f"{text}: {error}")
    except OSError as error:
        failed(code, f"{text}: {error}")


def tell(pipe: int, code: int, text: str) -> NoReturn:
    """Tells the parent why the bot does not run."""
    os.write(pipe, f"{code} {text}".encode())
    os._exit(code)


def fail(command: list[str], code: int, text: str) -> NoReturn:
    """Ends this program without a bot."""
    say(f"{command[0]}: {text}", "nothing was started; correct that and try again")
    os._exit(code)


def take(steps: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Puts everything where the bot looks for it, and returns its environment."""
    environment = dict(os.environ)
    entered = False
    for step in steps:
        fds = step["fds"]
        for number in fds:
            os.set_inheritable(number, step["way"] == "descriptor")
        if step["way"] in {"cover", "shadow"} and not entered:
            enter_namespace()
            entered = True
        if step["way"] == "stdin":
            os.dup2(fds[0], 0)
        elif step["way"] == "environment":
            environment |= json.loads(read_all(fds[0]))
        elif step["way"] == "cover":
            cover(step["path"], fds[0])
        elif step["way"] == "shadow":
            shadow(step["path"], dict(zip(step["names"], fds, strict=True)))
    return environment


def enter_namespace() -> None:
    """Gives this process mounts of its own, which nobody else sees. Mounts of the host still arrive here."""
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        _checked("unshare", _CLONE_NEWNS)
    else:
        _checked("unshare", _CLONE_NEWNS | _CLONE_NEWUSER)
        for name, text in (
            ("setgroups", "deny"),  # user_namespaces(7): else gid_map is refused
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            file = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
            os.write(file, text.encode())
            os.close(file)
    _checked("mount", b"none", b"/", None, _MS_REC | _MS_SLAVE, None)


def mount_tmpfs(path: str) -> None:
    """Mounts an empty tmpfs, only for this user; not swapped out where the kernel lets us say so (root, Linux 6.4)."""
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    try:
        _checked("mount", b"vaultd", os.fsencode(path), b"tmpfs", flags, f"mode=0700,{_SIZE},noswap".encode())
    except OSError:
        _checked("mount", b"vaultd", os.fsencode(path), b"tmpfs", flags, f"mode=0700,{_SIZE}".encode())


def bind(source: str, target: str) -> None:
    """Makes a file or a directory appear at a second path."""
    _checked("mount", os.fsencode(source), os.fsencode(target), None, _MS_BIND | _MS_REC, None)


def cover(path: str, descriptor: int) -> None:
    """Puts a file over another one."""
    target = os.open(path, os.O_PATH | os.O_CLOEXEC)  # taken before the scratch is covered, which may be above it
    try:
        mount_tmpfs(_SCRATCH)
        write(f"{_SCRATCH}/file", descriptor)
        bind(f"{_SCRATCH}/file", f"/proc/self/fd/{target}")
        _checked("umount2", os.fsencode(_SCRATCH), _MNT_DETACH)  # the file stays where it is bound
    finally:
        os.close(target)


def shadow(path: str, files: dict[str, int]) -> None:
    """Puts a directory over another one: the given files, and everything else that was there.

    A name that ends with a slash is a directory that starts empty.
    """
    before = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    here = os.getcwd()
    try:
        entries = os.listdir(f"/proc/self/fd/{before}")
        mount_tmpfs(path)
        for name, descriptor in files.items():
            os.makedirs(os.path.dirname(os.path.join(path, name)), mode=0o700, exist_ok=True)
            if not name.endswith("/"):
                write(os.path.join(path, name), descriptor)
        for entry in set(entries) - {name.partition("/")[0] for name in files}:
            keep(f"/proc/self/fd/{before}/{entry}", os.path.join(path, entry))
        os.chdir(here)
    finally:
        os.close(before)


def keep(source: str, target: str) -> None:
    """Lets what was there be seen again."""
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    if os.path.isdir(source):
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
    bind(source, target)


def write(path: str, descriptor: int) -> None:
    """Writes what is in a memory file to a new file that nobody else may read."""
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(read_all(descriptor))


def read_all(descriptor: int) -> bytes:
    """Reads a descriptor to its end."""
    content = b""
    while piece := os.read(descriptor, 65536):
        content += piece
    return content


def die_with(parent: int) -> None:
    """Lets the kernel send SIGTERM when the parent is killed; it may be gone already."""
    _checked("prctl", _PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def restore_signals() -> None:
    """Undoes what Python and this program did to signals. What was ignored before stays so, as under nohup."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON | {signal.SIGCHLD})


# --- the parent -----------------------------------------------------------------------------------------------------


def supervise(bot: int) -> tuple[int, bool]:
    """Passes signals on until the bot ends; returns its wait status, and whether a signal told it to end."""
    told = False
    while True:
        arrived = signal.sigwaitinfo(PASSED_ON | {signal.SIGCHLD})
        if arrived.si_signo != signal.SIGCHLD:
            told = told or arrived.si_signo in MEANT
            if arrived.si_code != _FROM_TERMINAL and arrived.si_pid != bot:
                os.kill(bot, arrived.si_signo)
            continue
        while True:  # one SIGCHLD may stand for two changes
            ended, status = os.waitpid(bot, os.WNOHANG | os.WUNTRACED)
            if ended == 0:
                break
            if not os.WIFSTOPPED(status):
                return status, told
            stop_too()


def stop_too() -> None:
    """Stops this process where a shell may wake it again; a service has no terminal, and nobody who would."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGSTOP)


def report(name: str, status: int, seconds: float) -> None:
    """Says how a bot ended that nobody ended."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in MEANT:
            say(
                f"{name} was ended by {signal_name(number)} after {seconds:.1f} s",
                "the kernel's log says whether memory ran out: journalctl -k" if number == signal.SIGKILL else "",
            )
    elif os.WEXITSTATUS(status) and seconds < AT_ONCE_SECONDS:
        say(
            f"{name} ended with exit code {os.WEXITSTATUS(status)} after {seconds:.1f} s",
            "what it said is above; it had been given its keys",
        )


def signal_name(number: int) -> str:
    """Returns what a signal is called; most real-time signals have a number and no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def say(text: str, hint: str) -> None:
    """Writes a line, and what to do next, to stderr."""
    lines = [f"vaultctl: {text}", *([f"hint: {hint}"] if hint else [])]
    os.write(2, "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))


def end_like(status: int) -> NoReturn:
    """Ends as the bot has ended."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
        os._exit(128 + number)
    os._exit(os.WEXITSTATUS(status))


def _checked(name: str, *arguments: Any) -> None:
    call: Callable[..., int] = getattr(_libc, name)
    given = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    if call(*given) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main(sys.argv[1:])
