import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skal import __version__
from skal.cli import main

FAST = ["compare", "--model", "logistic", "--seeds", "2", "--rounds", "2", "--jobs", "1"]


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_help_and_version_load_nothing_heavy():
    code = "import sys, skal.cli\ntry: skal.cli.main(['--version'])\nexcept SystemExit: pass\n"
    done = run_python(
        code + "print(*(m for m in ('numpy', 'sklearn', 'torch', 'matplotlib') if m in sys.modules))"
    )
    assert done.stdout.split() == ["skal", __version__]
    assert done.returncode == 0


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"], ["query", "--help"]])
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 115


def test_a_comparison_leaves_a_table_a_csv_a_picture_and_a_report(tmp_path, capsys):
    assert (
        main([*FAST, "--strategy", "Margin()", "--strategy", "Margin() @ forest", "--out", str(tmp_path)])
        == 0
    )
    said = capsys.readouterr()
    assert said.err == ""
    for word in ("Random", "Margin @ forest", "pilot, no claim", "another model than Random", "report.html"):
        assert word in said.out
    assert len((tmp_path / "curves.csv").read_text().splitlines()) == 1 + 3 * 2 * 3
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    report = (tmp_path / "report.html").read_text()
    for word in ("skal compare", "LogisticRegression", "RandomForestClassifier", "1,797 images", "paired"):
        assert word in report
    assert sorted(file.name for file in tmp_path.iterdir()) == ["curves.csv", "curves.png", "report.html"]


def test_the_same_command_reads_what_is_there_and_overwrite_starts_over(tmp_path, capsys):
    command = [*FAST, "--strategy", "Margin()", "--out", str(tmp_path)]
    main(command)
    text = (tmp_path / "curves.csv").read_text()
    assert main(command) == 0
    assert (tmp_path / "curves.csv").read_text() == text
    assert main([*command, "--random-state", "1"]) == 2
    assert "another split or random_state" in capsys.readouterr().err
    assert (tmp_path / "curves.csv").read_text() == text
    assert main([*command, "--random-state", "1", "--overwrite"]) == 0
    assert (tmp_path / "curves.csv").read_text() != text


def test_a_pool_of_ones_own_cut_to_a_part(tmp_path, capsys):
    X, y = load_digits(return_X_y=True)
    np.savez(tmp_path / "mine.npz", X=X[:400], y=y[:400], X_test=X[400:600], y_test=y[400:600])
    options = ["--data", str(tmp_path / "mine.npz"), "--pool-size", "100", "--strategy", "Entropy"]
    assert main([*FAST, *options, "--max-labels", "35", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "a fixed random pool of 100 of 400 rows of 64 features, 200 held out" in said
    assert "20 to 35 labels" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--strategy", "Margn()"], "nearest is 'Margin'"),
        (["--strategy", "Margin() @ forrest"], "nearest is 'forest'"),
        (["--strategy", "Margin", "--strategy", "Margin()"], "twice"),
        (["--data", "digit"], "nearest name is 'digits'"),
        (["--data", "none.npz"], "no file none.npz"),
        (["--model", "resnet"], "no model 'resnet'"),
    ],
)
def test_a_users_mistake_is_one_sentence(tmp_path, arguments, said, capsys):
    assert main(["compare", *arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("skal: ")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("option", ["--seeds", "--rounds", "--batch-size", "--jobs"])
@pytest.mark.parametrize("value", ["0", "-1", "ten", "1.5"])
def test_numbers_are_checked(option, value, capsys):
    with pytest.raises(SystemExit) as end:
        main(["compare", option, value])
    assert end.value.code == 2
    assert "whole number from 1" in capsys.readouterr().err


def test_an_unwritable_folder_is_found_before_the_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("skal._compare_command.compare", None)
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        assert main([*FAST, "--out", str(out)]) == 2
        assert "name another folder" in capsys.readouterr().err


def test_an_interruption_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("skal._compare_command.compare", interrupt)
    assert main([*FAST, "--out", str(tmp_path)]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_debug_shows_where_an_error_comes_from(tmp_path):
    with pytest.raises(ValueError, match="nearest"):
        main(["compare", "--strategy", "Margn()", "--debug", "--out", str(tmp_path)])


def test_the_command_is_installed_and_compares_nets(tmp_path):
    command = [sys.executable, "-c", "import sys; from skal.cli import main; sys.exit(main())"]
    options = [
        "compare",
        "--seeds",
        "2",
        "--rounds",
        "1",
        "--epochs",
        "2",
        "--jobs",
        "2",
        "--out",
        str(tmp_path),
    ]
    options += ["--strategy", "Margin()"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "NetClassifier" in (tmp_path / "report.html").read_text()


def test_more_first_rows_than_the_pool_has_are_refused(tmp_path, capsys):
    assert main([*FAST, "--n-initial", "5000", "--out", str(tmp_path)]) == 2
    assert "--n-initial 5000 is more than the" in capsys.readouterr().err


def test_the_package_runs_as_the_command():
    done = subprocess.run([sys.executable, "-m", "skal", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("skal ")
