import numpy as np
import pytest

from skal._runs import Stage, read_stages, write_atomically, write_stages


def stage(learner="Margin", seed=0, number=0, score=0.1 + 0.2):
    return Stage(learner, seed, number, 20 + 10 * number, score, 1 / 3, 1e-17, (5, 3, 12), "accuracy a b c")


def test_a_file_reads_back_to_the_bit(tmp_path):
    stages = [stage('a "name", with comma', number=number, score=np.nextafter(0.5, 1)) for number in range(3)]
    write_stages(tmp_path / "runs.csv", stages)
    assert read_stages(tmp_path / "runs.csv") == stages


def test_a_round_without_rows_reads_back(tmp_path):
    write_stages(tmp_path / "runs.csv", [stage()._replace(rows=())])
    assert read_stages(tmp_path / "runs.csv")[0].rows == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "first line"), ("a,b\n1,2\n", "first line"), (",".join(Stage._fields) + "\nMargin,x\n", "line 2")],
)
def test_other_files_are_refused(tmp_path, text, said):
    path = tmp_path / "runs.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_stages(path)
    assert path.read_text() == text


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
