"""
The command line: ``syncagent run`` and ``syncagent local``.

Exit codes: 0 done, 1 the run failed, 2 the command is wrong, 130 interrupted. Standard output holds the result and
nothing else; transcripts, progress and errors go to standard error, an error as one line. On a terminal text
appears while it comes, and tool calls beside it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn, Optional

from .. import __version__
from .terminal import complain, write

__all__ = ["EXIT_FAILED", "EXIT_INTERRUPTED", "EXIT_OK", "EXIT_USAGE", "main"]

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count


def main(argv: Optional[Sequence[str]] = None) -> int:
    """
    Run one command.

    Args:
        argv: the arguments without the program's name; by default the process's own.

    Returns:
        The exit code.
    """
    from ..exceptions import AgentRunError, UserError

    try:
        return _command(_parser().parse_args(argv))
    except _Ended as end:
        return end.code
    except KeyboardInterrupt:
        complain("Interrupted.")
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # whoever read our output has had enough
        return EXIT_OK
    except UserError as error:
        complain(f"error: {error.message}")
        return EXIT_USAGE
    except AgentRunError as error:
        complain(f"error: {error}")
        return EXIT_FAILED
    except Exception as error:  # a tool's or a validator's own
        complain(f"error: {type(error).__name__}: {error}")
        return EXIT_FAILED


def _command(options: argparse.Namespace) -> int:
    if options.command == "run":
        from .run import run

        return run(options)
    from .local import pull, serve

    return pull(options) if options.action == "pull" else serve(options)


class _Ended(Exception):
    """The arguments alone were enough."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Parser(argparse.ArgumentParser):
    """Complains in one line, and leaves ending the process to others."""

    def error(self, message: str) -> NoReturn:
        complain(f"{self.prog}: error: {message} (see {self.prog} --help)")
        raise _Ended(EXIT_USAGE)

    def exit(self, status: int = 0, message: Optional[str] = None) -> NoReturn:
        raise _Ended(status)

    def _print_message(self, message: str, file: object = None) -> None:
        write(message.rstrip("\n"))  # of --help and --version


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="syncagent", description="Run agents, and the local model.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"syncagent {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    _add_run(commands.add_parser("run", help="ask a model or an agent", allow_abbrev=False))
    local = commands.add_parser("local", help="the model that runs on this machine", allow_abbrev=False)
    actions = local.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=_Parser)
    _add_pull(actions.add_parser("pull", help="fetch a model into the cache folder", allow_abbrev=False))
    _add_serve(actions.add_parser("serve", help="serve a model for several processes", allow_abbrev=False))
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.description = "Ask a model, or an agent of yours, and print the result."
    parser.add_argument("prompt", metavar="PROMPT", help="the prompt; - reads it from standard input, as UTF-8")
    parser.add_argument(
        "--model", metavar="NAME", help="such as openai:gpt-4o or local; by default the agent's, or SYNCAGENT_MODEL"
    )
    parser.add_argument("--result-type", metavar="pkg.mod:Type", help="the type of the result; by default text")
    parser.add_argument("--agent", metavar="pkg.mod:agent", help="an agent of yours; by default one without tools")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--no-stream", action="store_true", help="print the result at the end, even on a terminal")
    parser.add_argument("--show-messages", action="store_true", help="print the conversation to standard error")
    parser.add_argument("--deadline", metavar="S", type=_seconds, help="seconds that the whole run may take")


def _add_pull(parser: argparse.ArgumentParser) -> None:
    parser.description = "Fetch a model into the cache folder, and print where it is."
    parser.add_argument("name", metavar="NAME", nargs="?", default="local", help="the model; by default local")


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.description = "Serve a model over OpenAI's chat API until interrupted; its lines go to standard error."
    parser.add_argument("name", metavar="NAME", nargs="?", default="local", help="the model; by default local")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    number = _Number(0, 65535)
    parser.add_argument("--port", type=number, default=8080, help="the port, 0 for a free one (%(default)s)")
    number = _Number(1, 1 << 20)
    parser.add_argument("--parallel", type=number, default=1, metavar="N", help="requests at once (%(default)s)")
    parser.add_argument(
        "--context", type=number, default=8192, metavar="N", help="tokens of context for each request (%(default)s)"
    )


class _Number:
    """A whole number in a range."""

    def __init__(self, least: int, most: int) -> None:
        self.least = least
        self.most = most

    def __call__(self, text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
        if not self.least <= number <= self.most:
            raise argparse.ArgumentTypeError(f"expected a whole number from {self.least} to {self.most}, got {text!r}")
        return number


def _seconds(text: str) -> float:
    """A deadline; inf and nan are none."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number of seconds, got {text!r}")
    return seconds
