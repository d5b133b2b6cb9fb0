"""``python -m stack``: up, stop, status, run, demo, demo-drift and drill, as the Makefile calls them.

A story is a module with ``tell(stack, sign="demo" | "me", stays=…) -> exit code``.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from stack import health
from stack.errors import StackError
from stack.services import python_path
from stack.supervisor import ROOT, Stack, interruptible


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    stack = Stack(options.state, without=tuple(options.without), report=_say)
    try:
        return int(options.command(stack, options))
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
    return 1


def up(stack: Stack, _: argparse.Namespace) -> int:
    """Start everything, or find what runs."""
    if not stack.up():
        _say("It runs already.")
    show_places(stack)
    return 0


def stop(stack: Stack, _: argparse.Namespace) -> int:
    """Stop everything that belongs to this stack."""
    _say("Stopped." if stack.stop() else "Nothing was running.")
    return 0


def status(stack: Stack, _: argparse.Namespace) -> int:
    """Say of each service whether it works; 0 if all do."""
    record, running = stack.record, stack.services
    _say(f"{'postgres':14}{running.get('postgres', '-'):<9}{'runs' if 'postgres' in running else 'stopped'}")
    for service in stack.wanted():
        pid = running.get(service.name)
        works = pid is not None and health.is_healthy(stack.layout, service, record.services[service.name])
        state = "works" if works else "runs, does not answer" if pid else "stopped"
        _say(f"{service.name:14}{pid or '-':<9}{state:23}{stack.url(service.name) if service.health else ''}".rstrip())
    return 0 if stack.is_up else 1


def run(stack: Stack, _: argparse.Namespace) -> int:
    """Start everything and stay until Ctrl-C, or until a service ends."""
    stack.up()
    show_places(stack)
    return _stay(stack)


def demo(stack: Stack, options: argparse.Namespace) -> int:
    """Start everything and tell the story; the exit code says whether the model was released."""
    from stack import story

    return _told(stack, story.tell, options)


def demo_drift(stack: Stack, options: argparse.Namespace) -> int:
    """Tell three weeks of the released model, watched; the exit code says whether all four decisions were taken."""
    from stack import drift_story

    return _told(stack, drift_story.tell, options)


def _told(stack: Stack, tell: Callable[..., int], options: argparse.Namespace) -> int:
    was_up = not stack.up()
    stays = was_up or sys.stdout.isatty()
    try:
        with interruptible():
            code = tell(stack, sign=options.sign, stays=stays)
            if stays and not was_up:
                _stay(stack)
            return code
    finally:
        if not was_up:
            stack.stop()


def drill(stack: Stack, options: argparse.Namespace) -> int:
    """Try the way back on a shadow of what serves, as the pipeline; 2 where there is none."""
    if not stack.is_up:
        raise StackError("Expected a running stack, found none: start it with `make up`.")
    environment = stack.environment("pipeline") | python_path(stack.layout)
    del environment["GOVERNANCE_ARTIFACT_KEY"]  # a drill signs nothing
    command = [Path(sys.executable).with_name("governance"), "drill", *([options.model] if options.model else [])]
    return subprocess.run(command, env=environment, check=False).returncode


def show_places(stack: Stack) -> None:
    """Say where to look."""
    _say(f"\nAirflow   {stack.url('airflow')}\nMLflow    {stack.url('mlflow')}\nScoring   {stack.url('serving')}")
    _say(f"\nLogins of this machine only ({stack.state / 'logins.txt'}):")
    _say((stack.state / "logins.txt").read_text())


def _stay(stack: Stack) -> int:
    _say("Ctrl-C stops everything.")
    try:
        while stack.services:
            stack.check_alive()
            time.sleep(1)
    except KeyboardInterrupt:
        _say("\nStopping.")
    finally:
        stack.stop()
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack", description="The whole system on this machine.")
    parser.add_argument("--state", type=Path, help=f"state folder; default $GOVERNANCE_STATE or {ROOT / '.state'}")
    parser.add_argument("--without", action="append", default=[], metavar="SERVICE", help="leave a service out")
    commands = parser.add_subparsers(required=True)
    for command in (up, stop, status, run, demo, demo_drift, drill):
        added = commands.add_parser(command.__name__.replace("_", "-"), help=str(command.__doc__).splitlines()[0])
        added.set_defaults(command=command)
        if command in (demo, demo_drift):
            added.add_argument("--sign", choices=("demo", "me"), default="demo", help="who signs")
        if command is drill:
            added.add_argument("model", nargs="?", help="one model; each that serves by default")
    return parser


if __name__ == "__main__":
    sys.exit(main())
