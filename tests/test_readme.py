"""The snippets of the README run as printed."""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_snippets_run_in_order(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    namespace = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), namespace)
    accuracy = float(capsys.readouterr().out.splitlines()[0])
    assert accuracy > 0.8
    assert len(namespace["labeled"]) == len(set(namespace["labeled"].tolist())) == 50
