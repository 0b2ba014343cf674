"""Imports go one way: between packages, between the rooms of a package, and between files.

An import inside a function counts as one at the top of the file.
"""

import ast

from tests.source_code import require_none, sources, tree

FORBIDDEN = {
    "theory": {"toy", "real", "matplotlib", "diffusers", "PIL", "sklearn"},
    "toy": {"real", "diffusers"},
    "real": {"toy"},
}
"""What each package never imports."""

ROOMS = {
    "theory": (
        "support", "statistics", "diffusion", "bounds", "proofs", "forward", "estimators",
        "calibration", "sampling",
    ),
    "toy": (
        "mixtures", "numerics", "strategies", "judge", "claims", "falsifier", "figures", "plots",
        "commands",
    ),
    "real": (
        "files", "families", "compress", "checkpoints", "running", "images", "solvers",
        "calibrated", "quality", "reports", "experiments", "commands", "damage",
    ),
}  # fmt: skip
"""The folders of each package from the ground up: a room imports itself and the rooms before it.

``real.damage`` only keeps an old path alive.
"""


def imported(text, known=()):
    """Full names of the modules that a text imports; ``from a import b`` is a.b where it is known."""
    found = set()
    for node in ast.walk(tree(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.add("a relative import")
        elif isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (whole & set(known)) or {node.module}
    return found


def graph(texts):
    """Which of the modules each of them imports."""
    return {name: imported(text, texts) & set(texts) - {name} for name, text in texts.items()}


def arrows_of_the_packages():
    """The imports between the modules of the three packages."""
    return graph(sources())


def circles(arrows):
    """The groups of nodes from each of which every other one of the group can be reached."""
    reached = {start: set(ends) for start, ends in arrows.items()}
    for through in arrows:
        for ends in reached.values():
            if through in ends:
                ends |= reached[through]
    return {
        frozenset(other for other in ends if start in reached[other])
        for start, ends in reached.items()
        if start in ends
    }


def between_parts(arrows, folder):
    """The arrows between the parts of a folder: its files, and its folders as a whole."""
    depth = folder.count(".") + 2

    def part(name):
        return ".".join(name.split(".")[:depth])

    inside = {name for name in arrows if name == folder or name.startswith(f"{folder}.")}
    result = {part(name): set() for name in inside}
    for name in inside:
        result[part(name)] |= {part(end) for end in arrows[name] & inside} - {part(name)}
    return result


def folders(names):
    """Every package among the modules: those that others lie in."""
    return {name.rpartition(".")[0] for name in names if "." in name}


def upward(arrows, rooms):
    """Arrows from a room to one above it, or to a file that lies in no room: 'from -> to'."""
    found = set()
    for name, ends in arrows.items():
        package, *below = name.split(".")
        order = rooms[package]
        if below and below[0] in order:
            allowed = set(order[: order.index(below[0]) + 1])
            for end in ends:
                other, *to = end.split(".")
                if other == package and to and to[0] not in allowed:
                    found.add(f"{name} -> {end}")
    return found


def test_packages_import_one_way():
    found = {
        name: {module.split(".")[0] for module in imported(text)}
        & (FORBIDDEN[name.split(".")[0]] | {"a relative import"})
        for name, text in sources().items()
    }
    require_none(found)


def test_no_files_import_each_other_in_a_circle():
    found = circles(arrows_of_the_packages())
    require_none({"circle": [" <-> ".join(sorted(circle)) for circle in found]})


def test_no_folders_import_each_other_in_a_circle():
    arrows = arrows_of_the_packages()
    found = set().union(*(circles(between_parts(arrows, name)) for name in folders(arrows)))
    require_none({"circle": [" <-> ".join(sorted(circle)) for circle in found]})


def test_no_room_imports_a_higher_one():
    require_none({"upward": sorted(upward(arrows_of_the_packages(), ROOMS))})


def test_every_folder_has_its_place_in_the_order():
    packages = folders(sources()) - set(ROOMS)
    found = {name for name in packages if name.count(".") == 1}
    assert found <= {f"{package}.{room}" for package, order in ROOMS.items() for room in order}
    assert "toy.claims.table" in sources() and "theory" in sources()


TEXT = """
import torch, real.images
from toy.mixture import GaussianMixture
def later():
    import PIL.Image as image
    from . import secret
    from toy import mixture
"""


def test_imports_are_found_wherever_they_stand():
    expected = {"torch", "real.images", "toy.mixture", "PIL.Image", "a relative import"}
    assert imported(TEXT, ["toy", "toy.mixture"]) == expected
    assert imported(TEXT) == expected | {"toy"}


MADE_UP = {
    "p": "",
    "p.low": "",
    "p.low.one": "from p.low import two",
    "p.low.two": "def later():\n    from p.low.three import x",
    "p.low.three": "import p.low.one",
    "p.high": "",
    "p.high.one": "from p.low.one import x",
    "p.high.two": "",
    "p.low.four": "from p.high.two import x",
    "p.low.five": "from p.high import x\nfrom p import y, script",
    "p.script": "from p.high import x",
}


def test_a_made_up_circle_of_files_is_found():
    arrows = graph(MADE_UP)
    assert circles(arrows) == {frozenset({"p.low.one", "p.low.two", "p.low.three"})}
    assert not circles(graph(MADE_UP | {"p.low.three": ""}))


def test_a_made_up_circle_of_folders_is_found():
    arrows = graph(MADE_UP | {"p.low.three": ""})
    found = circles(between_parts(arrows, "p"))
    assert found == {frozenset({"p.low", "p.high", "p.script"})}
    assert folders(MADE_UP) == {"p", "p.low", "p.high"}
    mended = graph(MADE_UP | {"p.low.four": "", "p.low.five": "from p import y"})
    assert not circles(between_parts(mended, "p"))


def test_a_made_up_upward_import_is_found():
    arrows = graph(MADE_UP)
    assert upward(arrows, {"p": ("low", "high")}) == {
        "p.low.four -> p.high.two", "p.low.five -> p.high", "p.low.five -> p.script",
    }  # fmt: skip
    assert upward(arrows, {"p": ("high", "low")}) == {
        "p.high.one -> p.low.one", "p.low.five -> p.script",
    }  # fmt: skip
