"""The command line: `skal compare`, `query` and `ingest`. Heavy imports wait until a command runs."""

import argparse
import os
import sys

from skal import __version__

__all__ = ["main"]

_COMPARE = """\
Run strategies x seeds of a pool loop, and show who needs fewer labels.

Writes OUT/curves.csv, OUT/curves.png and OUT/report.html. Interrupted, the same command goes on where it
stopped.
"""

_COMPARE_EXAMPLES = """\
examples:
  skal compare
  skal compare --data mnist --pool-size 20000 --seeds 10 --rounds 20
  skal compare --data mine.npz --strategy "Margin()" --strategy "Subsample(Entropy(), size=1000)"
  skal compare --strategy "Margin()" --strategy "Margin() @ forest" --model cnn
  skal compare --recipe all --seeds 3
"""

_QUERY = """\
Choose the rows of POOL to label next, for people without an oracle.

The first call writes random rows into POOL.labels.csv. Fill in the column "label" and call again: the labels
are read back, a model is fitted, and the rows that it wants to know are added. Images come as a sheet.
"""


_INGEST = """\
Write the images of FOLDER into a zarr store: decoded once, of one size, in blocks, with their paths.

The folder of a class gives its images their label. A broken image is listed and skipped. Interrupted, the
same command goes on where it stopped. skal.as_pool("pool.zarr") is the pool, with .y and .classes.
"""


def main(argv=None):
    """Run the command line; returns the exit code.

    Parameters
    ----------
    argv : list of str or None, default=None
        Arguments; None takes those of the process.

    Returns
    -------
    int
        0, 2 after a mistake of the user, 130 after an interruption.

    Examples
    --------
    >>> import os
    >>> main(["compare", "--strategy", "Margn()", "--out", os.devnull + "/x"])
    2
    """
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    try:
        return args.run(args, argv)
    except BrokenPipeError:
        # The reader of a pipe went away; Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\nskal: interrupted; the same command goes on from here.", file=sys.stderr)
        return 130
    except (OSError, TypeError, ValueError) as error:
        if args.debug:
            raise
        print(f"skal: {_sentence(error)}", file=sys.stderr)
        return 2


def _sentence(error):
    if isinstance(error, OSError) and error.filename is not None and error.strerror is not None:
        return f"{error.filename} can't be used: {error.strerror}."
    return error


def _compare(args, argv):
    from skal._compare_command import run

    return run(args, argv)


def _query(args, argv):
    from skal._query import run

    return run(args)


def _ingest(args, argv):
    from skal._ingest import run

    return run(args)


def _parser():
    parser = argparse.ArgumentParser(prog="skal", description="Active learning: label less, know as much.")
    parser.add_argument("--version", action="version", version=f"skal {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_compare(commands)
    _add_query(commands)
    _add_ingest(commands)
    return parser


def _add_compare(commands):
    add = _command(
        commands, "compare", _compare, "compare strategies over seeds", _COMPARE, _COMPARE_EXAMPLES
    )
    add(
        "--data",
        default="digits",
        help="digits, mnist, a file .npz with X, y and optionally X_test, y_test, a folder of class-named "
        "folders of images, or a store of skal ingest",
    )
    add(
        "--strategy",
        action="append",
        metavar="S",
        help='such as "Margin()"; again for another one; "Margin() @ logistic" with a model of its own. '
        "Random is always there. Default: Random, Margin, Entropy, and Margin @ logistic",
    )
    add(
        "--recipe",
        action="append",
        metavar="R",
        help="instead of --strategy: a paper's strategy and model (see skal.recipes), again for another "
        "one, or all; writes OUT/recipes.html, too",
    )
    _add_model(add)
    add("--seeds", type=_positive, default=10, metavar="N", help="runs of each (default 10)")
    add(
        "--n-initial",
        "--initial-labels",
        type=_positive,
        default=20,
        metavar="N",
        help="random rows to start with (default 20)",
    )
    add("--batch-size", type=_positive, default=10, metavar="N", help="rows per round (default 10)")
    add("--rounds", type=_positive, metavar="N", help="queries (default 8, or as many as --max-labels takes)")
    add("--max-labels", type=_positive, metavar="N", help="stop at this number of labels")
    add("--pool-size", type=_positive, metavar="N", help="cut the pool to a fixed random part")
    add("--jobs", type=_positive, metavar="N", help="runs at a time (default: all cores); changes no number")
    add("--out", default="skal-compare", metavar="DIR", help="folder for the results (default skal-compare)")
    add("--overwrite", action="store_true", help="start over instead of resuming from OUT/curves.csv")
    add("--quiet", action="store_true", help="no progress bar")


def _add_query(commands):
    add = _command(commands, "query", _query, "choose the rows to label next", _QUERY, None)
    add(
        "pool",
        metavar="POOL",
        help="a file .npz with X, and optionally y with gaps; a file .npy; a folder of images; a store of "
        "skal ingest",
    )
    add("--n", type=_positive, default=20, metavar="N", help="how many rows (default 20)")
    add("--labels", metavar="FILE.csv", help="where labels are (default POOL.labels.csv)")
    add("--strategy", default="Margin()", metavar="S", help='such as "Margin()" (default)')
    _add_model(add)
    add("--skip-open", action="store_true", help="ask for more although rows asked for are not labelled yet")


def _add_ingest(commands):
    add = _command(commands, "ingest", _ingest, "write images into a pool on disk", _INGEST, None)
    add("folder", metavar="FOLDER", help="images, those of a class in a folder of its name")
    add("store", metavar="POOL.zarr", help="the store to write")
    add(
        "--size",
        type=_size,
        default=(224, 224),
        metavar="N",
        help="height and width, or both, such as 240x320 (default 224)",
    )
    add("--gray", action="store_true", help="gray images, not coloured ones")
    add(
        "--max-pixels",
        type=_positive,
        default=2**26,
        metavar="N",
        help="skip images with more pixels, which may be bombs (default 67108864)",
    )
    add("--jobs", type=_positive, metavar="N", help="processes that decode (default: all cores)")
    add("--quiet", action="store_true", help="no progress bar")


def _command(commands, name, run, summary, description, epilog):
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--random-state", type=_seed, default=0, metavar="N", help="fixes everything (default 0)"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser.add_argument


def _add_model(add):
    add("--model", metavar="M", help="cnn, mlp, logistic or forest (default: cnn for images, mlp for tables)")
    add("--epochs", type=_positive, default=100, metavar="N", help="epochs of a net (default 100)")


def _positive(text):
    return _integer(text, 1)


def _size(text):
    height, x, width = text.partition("x")
    return _integer(height, 1), _integer(width if x else height, 1)


def _seed(text):
    return _integer(text, 0)


def _integer(text, low):
    if not text.isdecimal() or int(text) < low:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} on")
    return int(text)
