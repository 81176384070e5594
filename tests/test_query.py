import csv

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from skal.cli import main

digits = load_digits()
X, y = digits.images[:200], digits.target[:200]
NAMES = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


@pytest.fixture
def pool(tmp_path):
    np.savez(tmp_path / "pool.npz", X=X)
    return tmp_path / "pool.npz"


def query(pool, *more):
    return main(["query", str(pool), "--model", "logistic", *more])


def lines(pool):
    with open(pool.with_suffix(".labels.csv"), newline="") as file:
        return list(csv.DictReader(file))


def fill_in(pool, labels=y):
    filled = [{**line, "label": labels[int(line["row"])]} for line in lines(pool)]
    with open(pool.with_suffix(".labels.csv"), "w", newline="") as file:
        writer = csv.DictWriter(file, filled[0])
        writer.writeheader()
        writer.writerows(filled)


@pytest.mark.parametrize("labels", [y, NAMES[y], y - 1])
def test_rounds_of_asking_and_answering(pool, labels, capsys):
    if (labels == -1).any():
        labels = np.where(labels > 3, 1, -1)  # scikit-learn's coding of two classes
    for number in range(3):
        assert query(pool, "--n", "15") == 0
        assert [line["round"] for line in lines(pool)] == [
            str(i) for i in range(number + 1) for _ in range(15)
        ]
        fill_in(pool, labels)
    rows = [int(line["row"]) for line in lines(pool)]
    assert len(set(rows)) == 45
    said = capsys.readouterr().out
    assert "Random(), since there is no label yet" in said
    assert "Margin() on logistic" in said
    assert f"{labels[rows[0]]}: " in said
    assert pool.with_suffix(".sheet.png").read_bytes().startswith(b"\x89PNG")


def test_the_rows_are_those_of_the_learner(pool):
    from skal import ActiveLearner
    from skal._names import model
    from skal._seeds import derive
    from skal.datasets import scaled
    from skal.strategies import Entropy

    query(pool, "--n", "15")
    fill_in(pool)
    query(pool, "--n", "5", "--strategy", "Entropy()")
    labeled = [int(line["row"]) for line in lines(pool)[:15]]
    images, _ = scaled(X)
    marked = np.full(200, -1)
    marked[labeled] = y[labeled]
    seed = derive(derive(0, "query", 1), "learner")
    learner = ActiveLearner(model("logistic", (8, 8), 1), Entropy(), n_rounds=0, random_state=seed)
    expected = learner.fit(images, marked).query(images, 5)
    assert [int(line["row"]) for line in lines(pool)[15:]] == expected.tolist()


def test_the_same_seed_asks_for_the_same_rows(tmp_path):
    asked = []
    for folder, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        (tmp_path / folder).mkdir()
        pool = tmp_path / folder / "pool.npz"
        np.savez(pool, X=X)
        for _ in range(2):
            query(pool, "--n", "12", "--random-state", seed)
            fill_in(pool)
        asked.append([line["row"] for line in lines(pool)])
    assert asked[0] == asked[1]
    assert asked[0][:12] != asked[2][:12]


def test_labels_of_the_pool_count(tmp_path, capsys):
    gaps = np.where(np.arange(200) < 30, y, -1)
    for number, marked in enumerate(
        (gaps, np.where(gaps < 0, np.nan, gaps), np.where(gaps < 0, "", NAMES[gaps]))
    ):
        pool = tmp_path / f"pool{number}.npz"
        np.savez(pool, X=X, y=marked)
        assert query(pool, "--n", "10") == 0
        assert min(int(line["row"]) for line in lines(pool)) >= 30
    asked = [[line["row"] for line in lines(tmp_path / f"pool{number}.npz")] for number in (0, 1)]
    assert asked[0] == asked[1]
    assert "30 labels" in capsys.readouterr().out


def test_open_rows_hold_the_next_round_back(pool, capsys):
    query(pool, "--n", "20")
    before = pool.with_suffix(".labels.csv").read_bytes()
    assert query(pool) == 2
    assert "20 of the rows asked for" in capsys.readouterr().err
    assert pool.with_suffix(".labels.csv").read_bytes() == before
    assert query(pool, "--skip-open", "--n", "5") == 0
    assert len({line["row"] for line in lines(pool)}) == 25


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("row,label\n1,1\n1,2\n", "there already"),
        ("row,label\n999,1\n", "not in the pool"),
        ("row,label\n1,1\n2,2\n3,thre\n", "'thre'"),
        ("row,label\n1,1\n2,2\n3,-1\n", "leave the cell empty"),
        ("row,label\n5,7\n", "7 here and 5 in"),
    ],
)
def test_bad_labels_are_refused_and_lose_nothing(tmp_path, text, said, capsys):
    pool = tmp_path / "pool.npz"
    np.savez(pool, X=X, y=np.where(np.arange(200) == 5, 5, -1))
    path = pool.with_suffix(".labels.csv")
    path.write_text(text)
    assert query(pool) == 2
    assert said in capsys.readouterr().err
    assert path.read_text() == text
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pool.labels.csv", "pool.npz"]


def test_one_class_asks_at_random(pool, capsys):
    query(pool, "--n", "5")
    fill_in(pool, np.full(200, "cat"))
    assert query(pool, "--n", "5") == 0
    assert "Random(), since all labels are cat so far" in capsys.readouterr().out


def test_the_pool_ends(pool, capsys):
    query(pool, "--n", "190")
    fill_in(pool)
    assert query(pool, "--n", "20") == 0
    assert "10 rows asked for" in capsys.readouterr().out
    fill_in(pool)
    assert query(pool) == 0
    assert "No row is left" in capsys.readouterr().out
    assert len(lines(pool)) == 200


def test_a_table_has_no_sheet(tmp_path):
    np.savez(tmp_path / "pool.npz", X=digits.data[:50])
    assert query(tmp_path / "pool.npz", "--labels", str(tmp_path / "mine.csv")) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "mine.csv",
        "mine.rows.json",
        "pool.npz",
    ]


def test_an_odd_quote_and_a_second_label_column_are_refused(pool, capsys):
    query(pool, "--n", "10")
    path = pool.with_suffix(".labels.csv")
    lines = path.read_text().splitlines()
    for broken in (
        [lines[0], lines[1].replace(",", ',"', 1), *lines[2:]],
        ["row,label,label", *lines[1:]],
    ):
        path.write_text("\n".join(broken) + "\n")
        before = path.read_text()
        assert query(pool) == 2
        error = capsys.readouterr().err
        assert "quote" in error or "each once" in error
        assert path.read_text() == before


def test_labels_are_refused_where_rows_have_become_others(pool, capsys):
    assert query(pool, "--n", "5") == 0
    fill_in(pool)
    asked = [int(line["row"]) for line in lines(pool)]
    before = pool.with_suffix(".labels.csv").read_bytes()
    np.savez(pool, X=np.roll(X, 1, axis=0))
    assert query(pool, "--n", "5") == 2
    assert f"Row {asked[0]} of {pool} is not what it was when" in capsys.readouterr().err
    assert pool.with_suffix(".labels.csv").read_bytes() == before
    changed = X.copy()
    changed[np.setdiff1d(np.arange(len(X)), asked)[0]] = 0  # a row without a label
    np.savez(pool, X=changed)
    assert query(pool, "--n", "5") == 0
    contents = pool.with_suffix(".labels.rows.json")
    for broken in ("{", "[1]", '{"one": "2"}'):
        contents.write_text(broken)
        assert query(pool, "--n", "5", "--skip-open") == 2
        assert "rows.json is not as `skal query` wrote it" in capsys.readouterr().err
    contents.unlink()  # rows that nobody has asked for have no content
    np.savez(pool, X=np.roll(X, 1, axis=0))
    assert query(pool, "--n", "5", "--skip-open") == 0


def test_a_file_that_comes_into_a_folder_moves_no_labels(tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, image in enumerate(X[:20]):
        Image.fromarray((16 * image).astype(np.uint8)).save(folder / f"{number:02}.png")
    assert query(folder, "--n", "3") == 0
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(folder / "00 new.png")
    assert query(folder, "--n", "3", "--skip-open") == 2
    assert "labels would go to other rows" in capsys.readouterr().err


def test_a_pool_may_be_one_array(tmp_path):
    pool = tmp_path / "pool.npy"
    np.save(pool, X)
    assert query(pool, "--n", "5") == 0
    fill_in(pool)
    assert query(pool, "--n", "5") == 0
    assert len(lines(pool)) == 10
