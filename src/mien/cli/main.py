"""The command ``mien``: finds the subcommand, imports only that one, and turns errors into one sentence."""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
import warnings
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from mien import __version__
from mien.cli.say import say, say_text
from mien.core.text import printable
from mien.errors import MienError

COMMANDS: dict[str, tuple[str, str]] = {
    "generate": ("mien.cli.generate", "Make portraits: this person, that expression, this pose."),
    "sweep": ("mien.cli.sweep", "Change one control step by step: a row of pictures of one person."),
    "animate": ("mien.cli.animate", "Move a person as the face in a video moves."),
    "app": ("mien.cli.app", "A page in the browser, and the HTTP API behind it."),
    "demo": ("mien.cli.demo", "Make a contact sheet and a page of measured results."),
    "toy": ("mien.cli.toy", "Watch a landmark branch learn: three minutes on two cores."),
    "show": ("mien.cli.show", "Say where a picture comes from: settings, hashes, watermark."),
    "verify": ("mien.cli.verify", "Judge where pictures come from, in one word."),
    "sign": ("mien.cli.sign", "Sign a picture as C2PA content credentials."),
    "refuse": ("mien.cli.refuse", "Put people who said no on a list; they are not drawn."),
    "read": ("mien.cli.read", "Print what the face reader sees in a picture."),
    "evaluate": ("mien.cli.evaluate", "Compare models on the same people and targets."),
    "score": ("mien.cli.score", "Measure pictures of any program against their references."),
    "study": ("mien.cli.study", "A user study in the browser: which pictures do people choose?"),
    "model": ("mien.cli.model", "Facts about the models."),
    "bench": ("mien.cli.bench", "Time ours side by side with others."),
    "train": ("mien.cli.train", "Train one of the presets; the same command continues."),
    "runs": ("mien.cli.runs", "Runs of train: where they stand, their curves, how they differ."),
    "studio": ("mien.cli.studio", "Render synthetic portraits with exact labels."),
    "data": ("mien.cli.data", "Datasets of photographs and videos: import, check, join."),
    "pairs": ("mien.cli.pairs", "Pairs with one expression and two people, to train on."),
    "assets": ("mien.cli.assets", "Models of others: licences, downloads, checks."),
    "facekit": ("mien.cli.facekit", "Convert the morphable model that the studio uses."),
}
"""Subcommand -> (module with a typer ``app``, one line of help)."""

EPILOG = "mien COMMAND --help explains a command. Documentation: docs/index.md"


class LazyGroup(TyperGroup):
    """A group that knows its subcommands' names and imports a subcommand's module only to run it or show its help."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A placeholder with the line of help; nothing is imported."""
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1], callback=lambda: None)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The subcommand itself, imported now."""
        self.commands = {name: self.get_command(ctx, name) for name in COMMANDS}  # for "did you mean"
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None:
            sub = importlib.import_module(COMMANDS[name][0]).app
            sub.rich_markup_mode = None  # plain help: boxes would cost a third of the half second
            command = typer.main.get_command(sub)
            command.name = name
        return name, command, rest


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, epilog=EPILOG, rich_markup_mode=None)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"mien {__version__}")
        raise typer.Exit()


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", help="Print the version and stop.", callback=_version, is_eager=True
    ),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Say more on the error stream."),
    offline: bool = typer.Option(False, "--offline", help="Fetch nothing unasked (also MIEN_OFFLINE=1)."),
) -> None:
    """Portraits with separate controls for identity, expression, head pose, emotion and text."""
    if offline:
        os.environ["MIEN_OFFLINE"] = "1"
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("%(message)s"))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler], force=True)
    if not verbose:
        # libraries' chatter is theirs; ours is raised as UserWarning from the package and shown as one line
        for name in ("transformers", "diffusers", "absl", "mediapipe"):
            logging.getLogger(name).setLevel(logging.ERROR)
    warnings.showwarning = _show_warning


class _Printable(logging.Formatter):
    """Log lines with what files are called and say in them."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802, the library's name
        """One line of the log."""
        return printable(super().formatMessage(record))


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Warnings meant for the user, as one line; the others are for developers and stay silent."""
    if category is UserWarning and "mien" in sys.modules:
        say(f"mien: note: {message}", error=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: words after ``mien``, for a program that goes on afterwards; None runs this process's own and tells
            the commands, as the context's ``obj``, that nothing follows.

    Returns:
        The exit code: 0 done, 2 something the user can mend (one sentence on the error stream), 130 interrupted.
    """
    # C++ libraries read these when they are loaded
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    command = typer.main.get_command(app)
    process_is_ours = arguments is None
    if process_is_ours:
        _work_unheard()
    _print_every_name()
    try:
        code = command.main(args=arguments, prog_name="mien", standalone_mode=False, obj=process_is_ours)
        if sys.stdout is not None:  # a shell can close it
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except MienError as error:
        return _fail(str(error))
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        # the reader of our output went away (mien show | head), where the command-line library exits by itself; what is
        # left must not raise again at exit
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        return _fail(f"Cannot read or write{where}: {error.strerror or error}.")
    except MemoryError:
        return _fail("Not enough memory: ask for fewer pictures at once (-n) or close other programs.")
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        # usage errors of the command-line library know their own sentence and exit code
        if not hasattr(error, "format_message"):
            if type(error).__name__ == "Abort":
                return 130
            raise
        context = getattr(error, "ctx", None)
        sentence = error.format_message()  # type: ignore[attr-defined]
        if type(error).__name__ == "NoArgsIsHelpError":
            if sentence:  # older releases hand the help over, newer ones have printed it
                say_text(sentence)
            return 0
        end = "" if sentence.endswith((".", "?")) else "."
        hint = f" Try: {context.command_path} --help" if context is not None else ""
        return _fail(f"{sentence}{end}{hint}")


def _print_every_name() -> None:
    """A path may hold bytes that are no text, or letters that the output has no code for: neither stops a command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        is_unicode = sys.stdout.encoding.lower().startswith("utf")
        sys.stdout.reconfigure(errors="surrogateescape" if is_unicode else "backslashreplace")


class _Unheard(io.FileIO):
    """An error stream whose reader may go away: what is said beside the work does not end it."""

    def write(self, data: Any, /) -> int:
        """As many bytes as were handed over, whether or not somebody took them."""
        try:
            return super().write(data)
        except OSError:  # a closed pipe or terminal, a full disk
            return memoryview(data).nbytes


def _work_unheard() -> None:
    """Let the error stream of this process be such a one."""
    if os.name == "posix" and isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr.fileno() == 2:
        raw = io.BufferedWriter(_Unheard(2, "wb", closefd=False))
        sys.stderr = io.TextIOWrapper(raw, sys.stderr.encoding, sys.stderr.errors, line_buffering=True)


def _fail(sentence: str) -> int:
    say("mien: " + " ".join(sentence.split()), error=True)
    return 2
