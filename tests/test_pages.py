"""Every code block of the README and of the site runs, or is parsed by what it calls.

``docs/blocks.py`` says how a page marks its blocks. Blocks of the README and of the pages beside the site
carry no marks: their commands are parsed, and their Python runs where a reader's own names are given.
"""

import contextlib
import importlib.util
import io
import json
import re
import sys
from importlib import import_module
from pathlib import Path

import matplotlib
import pytest
import torch

import real.cli
import theory.__main__
import toy.__main__
from tests.real.conftest import save_pipeline
from theory.support.errors import InputError

ROOT = Path(__file__).parents[1]
SITE = ROOT / "docs" / "pages"
PAGES = sorted(path for path in SITE.rglob("*.md"))
BESIDE = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
LANGUAGES = {"sh", "python", "text"}


def _module(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


docs_blocks = _module("blocks")
blocks = docs_blocks.blocks
PROGRAMS = {"real": real.cli, "toy": toy.__main__, "theory": theory.__main__}


def _name(page):
    return page.relative_to(ROOT).as_posix()


def _parse(words, monkeypatch):
    """Let the program's own parser read a command, and run nothing of it."""
    program, *arguments = words
    with monkeypatch.context() as patch:
        if program == "theory":
            theory.__main__._parser().parse_args(arguments)
            return
        known = PROGRAMS[program].COMMANDS
        for command in known.values() if not arguments else [known[arguments[0]]]:
            patch.setattr(import_module(command.module), "run", lambda options: 0)
        PROGRAMS[program].main(arguments)


def _check(command, monkeypatch):
    """Require that a command of sh is one that there is."""
    program, *rest = command.words
    if program == "make":
        targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
        assert {word for word in rest if "=" not in word} <= set(targets)
    elif program.startswith("first=$("):  # a value for the command that follows
        return
    elif "torchrun" in (program, *rest[:1]):
        _parse(rest[rest.index("-m") + 1 :], monkeypatch)
    elif rest[:1] == ["-m"] and rest[1] in PROGRAMS:
        with contextlib.redirect_stdout(io.StringIO()):
            _parse(rest[1:], monkeypatch)
    else:
        known = (["-m", "venv"], ["-m", "pip"], ["-m", "tests.mutants"])
        assert program.endswith("python") and (rest[:2] in known or rest[0].endswith(".py"))


def _run(command, monkeypatch):
    """Run a command of sh in this process, in the folder that it is in."""
    program, *rest = command.words
    assert program == "python"
    with contextlib.redirect_stdout(io.StringIO()) as out:
        if rest[0] == "-m":
            assert PROGRAMS[rest[1]].main(rest[2:]) == command.status
        else:
            names = {"__name__": "__main__"}
            exec(compile(Path(rest[0]).read_text(), rest[0], "exec"), names)
    if command.into:
        Path(command.into).write_text(out.getvalue())


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder; what user code does to global randomness is undone."""
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng(devices=[]), matplotlib.rc_context():
        torch.manual_seed(0)
        yield tmp_path


@pytest.mark.parametrize("page", [*PAGES, *BESIDE], ids=_name)
def test_every_command_is_parsed_and_every_python_block_compiles(page, monkeypatch):
    for block in blocks(page):
        where = f"{_name(page)}:{block.line}"
        assert block.language in LANGUAGES, where
        if block.language == "python":
            compile(block.code, where, "exec")
        for command in block.commands if block.language == "sh" else ():
            try:
                _check(command, monkeypatch)
            except (InputError, KeyError) as error:
                pytest.fail(f"{where}: {' '.join(command.words)}: {error}")


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(not b.mark for b in blocks(page) if b.language != "text")],
    ids=_name,
)  # fmt: skip
def test_every_block_that_is_not_marked_runs(page, here, monkeypatch):
    namespace = {"__name__": "page"}
    for block in blocks(page):
        if block.mark or block.language == "text":
            continue
        if block.title:
            Path(block.title).write_text(block.code)
        elif block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block.code, f"{_name(page)}:{block.line}", "exec"), namespace)
        else:
            for command in block.commands:
                _run(command, monkeypatch)


def test_the_python_of_the_readme_runs_on_a_readers_own_names(here, pipeline_names):
    found = [block for block in blocks(ROOT / "README.md") if block.language == "python"]
    assert found
    for block in found:
        exec(compile(block.code, f"README.md:{block.line}", "exec"), dict(pipeline_names))


@pytest.fixture
def pipeline_names(here):
    """What the README supposes: a pipeline called as one of text, a network, its table, and images."""
    from diffusers import DiffusionPipeline

    from real import load, save_pretrained
    from theory import calibrate

    folder = save_pipeline(here / "folder-of-the-pipeline", shape=(1, 8, 8))
    checkpoint = load(str(folder))
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(16, 1, 8, 8, generator=generator) * 2 - 1
    made = calibrate(
        checkpoint.predict, checkpoint.schedule, images=images, times=[100, 900],
        provenance={"fingerprint": checkpoint.fingerprint},
    )  # fmt: skip
    save_pretrained(made, folder)
    made.save(here / "calibration.safetensors")
    pipe = DiffusionPipeline.from_pretrained(str(folder))
    pipe.set_progress_bar_config(disable=True)

    class OfText:
        """The pipeline, which takes a text and makes nothing of it."""

        def __getattr__(self, name):
            return getattr(pipe, name)

        def __call__(self, text, **settings):
            return pipe(**settings)

    return {
        "__name__": "readme", "pipe": OfText(), "predict": checkpoint.predict, "images": images,
        "alphas_cumprod": checkpoint.schedule.alphas_cumprod,
    }  # fmt: skip


def test_outputs_on_the_site_were_made_by_the_code_beside_them():
    made_by = json.loads((SITE / "outputs" / "made_by.json").read_text())
    shown = {}
    for page in PAGES:
        code = []
        for block in blocks(page):
            if block.snippet:
                shown[block.snippet], code = code, []
                assert (SITE / "outputs" / block.snippet).read_text().strip(), block.snippet
            elif block.language in ("sh", "python") and block.mark != "needs":
                code.append(block.code)
    assert shown and shown == made_by


def test_pages_made_of_the_code_are_what_it_makes():
    for path, text in _module("reference").pages().items():
        assert path.read_text() == text, f"python docs/reference.py writes another {path.name}"


PAGE = """
```sh
python -m real calibrate digits --tmies 8 --out x.safetensors
```
<!-- needs: a GPU -->
```sh
python -m real list > out.txt  # exit status 2
python -m toy \\
    example model
```
```python title="mine.py"
x = 1
```
```text
--8<-- "page/x.txt:-3:"
```
"""


def test_marks_titles_outputs_and_statuses_are_read(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    wrong, marked, titled, text = blocks(page)
    assert (wrong.mark, marked.mark) == (None, "needs")
    assert titled.title == "mine.py" and text.snippet == "page/x.txt"
    first, second = marked.commands
    assert (first.into, first.status) == ("out.txt", 2)
    assert second.words == ("python", "-m", "toy", "example", "model")
    for command in marked.commands:
        _check(command, monkeypatch)
    with pytest.raises(InputError, match="did you mean --times"):
        _check(wrong.commands[0], monkeypatch)


ASKED = re.compile(
    r"""<(script|img|iframe|source)[^>]*\ssrc=["']?(https?:)?//"""
    r"""|<link(?![^>]*canonical)[^>]*\shref=["']?(https?:)?//"""
)
"""What a browser fetches from another machine when it shows a page; a link is not fetched."""


def test_what_a_browser_fetches_is_told_from_links():
    for fetched in (
        '<script defer src="https://unpkg.com/x">', "<img src=//host/x.png>",
        '<link rel="stylesheet" href="https://fonts.googleapis.com/css">',
    ):  # fmt: skip
        assert ASKED.search(fetched)
    for own in ('<a href="https://arxiv.org">', '<script src="assets/x.js">', '<link href="../x">'):
        assert not ASKED.search(own)


def test_the_site_builds_without_a_warning_and_asks_no_other_machine(tmp_path):
    pytest.importorskip("mkdocs")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True))
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        assert not ASKED.search(page.read_text()), page.name


def test_hooks_before_a_commit_are_the_installed_tools():
    import yaml

    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = [hook for repo in repos for hook in repo["hooks"]]
    assert [repo["repo"] for repo in repos] == ["local"] * len(repos)
    assert {hook["entry"].split()[0] for hook in hooks} == {".venv/bin/ruff", ".venv/bin/mypy"}
