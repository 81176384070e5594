"""What the metadata says is what is installed and tested."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _pins(name):
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.lower().split("==") for line in lines if "==" in line and not line.startswith("#"))


def _lower_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    tests = [r for r in project["optional-dependencies"]["test"] if r.startswith(("pandas", "pytest>"))]
    return dict(requirement.split(">=") for requirement in project["dependencies"] + tests)


def _version(text):
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _padded(text):
    return (_version(text) + (0, 0))[:3]


def test_the_oldest_versions_tested_are_the_lower_bounds():
    pins, bounds = _pins("constraints-oldest.txt"), _lower_bounds()
    assert set(bounds) <= set(pins)
    # One torch is tested everywhere: others would come as several gigabytes of CUDA packages.
    assert pins.pop("torch") == _pins("constraints.txt")["torch"] == "2.13.0"
    for name in set(bounds) - {"torch"}:
        assert _padded(pins[name]) == _padded(bounds[name]), name


def test_every_dependency_is_pinned_and_allowed():
    pins, bounds = _pins("constraints.txt"), _lower_bounds()
    for name, bound in bounds.items():
        assert _padded(pins[name]) >= _padded(bound), name


def test_the_command_starts_without_heavy_imports():
    code = (
        "import sys; from skal.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'torch', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
