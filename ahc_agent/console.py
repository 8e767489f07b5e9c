"""What both command lines share: lazy subcommands, exit codes, output that ends politely.

Exit codes (CONTRACT): 0 fine; 1 the answer is "no"; 2 wrong use; 3 cannot answer. Python's own 1 for a crash would be read as
"no", so everything unforeseen is 3.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import NoReturn

import click

from ahc_agent.errors import AhcError

#: What a shell says of a program that SIGPIPE ended.
_READER_GONE = 141


class LazyGroup(click.Group):
    """A group whose subcommands are imported when called: the agent must start in a fraction of a second.

    ``table`` maps a command's name to ``(module, attribute, one-line help)``.
    """

    def __init__(self, *args: object, table: dict[str, tuple[str, str, str]], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, attribute, _ = self.table[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """As click does, but where the reader is gone: click would end with 1, which is an answer."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise click.exceptions.Exit(_READER_GONE) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.table[name][2]) for name in self.list_commands(ctx)])


def set_up_logging(verbose: int) -> None:
    """Logs go to standard error; ``-v`` shows information, ``-vv`` everything."""
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )


def run_main(group: click.Group, program: str) -> NoReturn:
    """Call a command group as a program; typed errors become one line on standard error and an exit code.

    A reader that went away (``| head``) ends it as SIGPIPE would: whoever stopped reading has not heard the answer.
    """
    try:
        status = group.main(prog_name=program, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as leave:
        status = leave.exit_code
    except click.ClickException as wrong:
        wrong.show()
        status = 2
    except click.Abort:
        click.echo("interrupted", err=True)
        status = 130
    except AhcError as error:
        click.echo(f"{program}: {error}", err=True)
        status = error.exit_code
    except BrokenPipeError:
        _drop_output()
        status = _READER_GONE
    except OSError as error:
        click.echo(f"{program}: {error} (check free space and rights)", err=True)
        _drop_output()
        status = 3
    except Exception as error:
        logging.getLogger(program).error("unforeseen", exc_info=error)
        click.echo(f"{program}: a mistake in the program itself; please report the lines above", err=True)
        status = 3
    sys.exit(status if isinstance(status, int) else 0)


def _drop_output() -> None:
    """What is still buffered can go nowhere; Python would try once more at its end, and exit with 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
