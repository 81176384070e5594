import pytest

from skal._label_file import LabelFile, typed


def read(tmp_path, text, n_rows=100):
    path = tmp_path / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return LabelFile.read(path, n_rows)


def test_a_new_file_has_all_columns(tmp_path):
    file = LabelFile.read(tmp_path / "labels.csv", 10)
    file.append([7, 3])
    assert (tmp_path / "labels.csv").read_text() == "row,label,round\n7,,0\n3,,0\n"


def test_labels_and_open_rows_are_told_apart(tmp_path):
    file = read(tmp_path, "row,label,round\n7, cat ,0\n3,,0\n5,dog,1\n\n")
    assert file.given == {7: "cat", 5: "dog"}
    assert file.open == [3]
    assert file.last_round == 1


@pytest.mark.parametrize(
    ("text", "added"),
    [
        ("row,label,round\n7,1,3", "\n8,,4\n"),
        ("\ufeffrow;label;round\r\n7;1;0\r\n", "8;;1\r\n"),
        ("Label\tROW\n1\t7\n", "\t8\n"),
        ('row,label,comment\n7,1,"blurred, but a one"\n', "8,,\n"),
    ],
)
def test_what_is_there_stays_to_the_byte(tmp_path, text, added):
    file = read(tmp_path, text)
    assert file.labels == {7: "1"}
    file.append([8])
    assert (tmp_path / "labels.csv").read_bytes() == (text + added).encode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "columns row and label"),
        ("7,1\n", "columns row and label"),
        ("row,label\n100,1\n", "line 2: row 100 is not in the pool, which has rows 0 to 99"),
        ("row,label\n-1,1\n", "line 2: row -1"),
        ("row,label\n7,1\n8,1\n7,2\n", "line 4: row 7 is there already, in line 2"),
        ("row,label\nseven,1\n", "line 2: 'seven' in the column row"),
        ("row,label\n7.5,1\n", "'7.5' in the column row"),
        ("row,label,round\n7,1,first\n", "'first' in the column round"),
        (b"row,label\n7,\xe4\n", "CSV UTF-8"),
    ],
)
def test_mistakes_are_refused_with_their_line(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        read(tmp_path, text)


def test_labels_are_integers_or_text(tmp_path):
    assert typed(read(tmp_path, "row,label\n1,3\n2,4.0\n3,\n")) == {1: 3, 2: 4}
    assert typed(read(tmp_path, "row,label\n1,cat\n2,dog\n")) == {1: "cat", 2: "dog"}
    assert typed(read(tmp_path, "row,label\n1,3\n2,cat\n"), integers=False) == {1: "3", 2: "cat"}
    assert typed(read(tmp_path, "row,label\n")) == {}


@pytest.mark.parametrize(
    ("text", "integers", "said"),
    [
        ("row,label\n1,3\n2,4\n3,thre\n", None, "line 4: the label 'thre' of row 3 is not a whole number"),
        ("row,label\n1,cat\n2,4\n3,dog\n", None, "line 3: the label '4' of row 2 is not text"),
        ("row,label\n1,cat\n", True, "line 2: the label 'cat'"),
        ("row,label\n1,3.5\n2,1\n", None, "line 2: the label '3.5'"),
    ],
)
def test_a_slip_of_the_type_is_found(tmp_path, text, integers, said):
    with pytest.raises(ValueError, match=said):
        typed(read(tmp_path, text), integers)
