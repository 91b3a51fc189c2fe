"""The promises of README.md and pyproject.toml that can be checked without installing anything."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path, PurePath

import pytest

from legate_jit.process import interpreter

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def command(marker: str) -> str:
    found = re.findall(rf"<!-- {marker} -->\n```bash\n(.*?)\n```", README, re.DOTALL)
    assert len(found) == 1, marker
    return found[0]


@pytest.mark.parametrize("marker", ["main-command", "test-command"])
def test_readme_gives_one_line_that_does_everything(marker: str) -> None:
    line = command(marker)
    assert "\n" not in line
    assert line.startswith("python3 -m venv .venv && .venv/bin/pip install")


def test_readme_names_the_versions_of_python() -> None:
    """All those that were tried, from the oldest that installs."""
    versions = [re.findall(r"Python :: 3\.(\d+)$", text) for text in PROJECT["classifiers"]]
    tried = sorted(int(minor) for (minor,) in filter(None, versions))
    assert tried == list(range(tried[0], tried[-1] + 1))
    assert f"CPython 3.{tried[0]} to 3.{tried[-1]} on Linux" in README
    assert PROJECT["requires-python"] == f">=3.{tried[0]}" == ">={}.{}".format(*interpreter.OLDEST)


def test_extras_that_readme_names_exist() -> None:
    named = set(re.findall(r"\.\[([a-z0-9]+)\]", README))
    assert named <= set(PROJECT["optional-dependencies"])
    assert {"mpi", "cuda12", "cuda13", "test", "dev"} <= set(PROJECT["optional-dependencies"])


def test_files_that_readme_links_exist() -> None:
    links = set(re.findall(r"\]\(([^)#]+)\)", README))
    missing = [link for link in links if not link.startswith("http") and not (ROOT / link).exists()]
    assert missing == []


def anchors(page: Path) -> set[str]:
    """What links can name in a page, as GitHub makes it of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    broken = []
    for target, anchor in re.findall(
        r"\]\((?!http)([^)#]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")
    ):
        other = page.parent / target if target else page
        if not other.exists() or (anchor and anchor not in anchors(other)):
            broken.append(f"{target}#{anchor}")
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_pages_name_exist(page: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("no checkout of git")
    files = [PurePath(name) for name in tracked.stdout.split()]
    named = set(re.findall(r"`([\w./*-]+\.py)`", page.read_text(encoding="utf-8")))
    assert sorted(name for name in named if not any(file.match(name) for file in files)) == []


def test_ci_runs_the_command_of_readme() -> None:
    script = ROOT / ".ci" / "run"
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    extract = next(
        line for line in script.read_text(encoding="utf-8").splitlines() if line.startswith("readme_command=")
    )
    done = subprocess.run(
        ["bash", "-c", f'{extract}\nprintf %s "$readme_command"'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == command("test-command")
