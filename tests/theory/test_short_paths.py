"""Short paths are the modules that they stand for, and packages list the names that they have."""

import pytest

import real
import theory.schedules
import theory.targets
import toy
from theory.diffusion import schedules, targets


def test_short_paths_export_what_lies_in_their_homes():
    assert theory.schedules.__all__ == schedules.__all__
    defined = {
        name
        for name, value in vars(targets).items()
        if name.isupper() or getattr(value, "__module__", None) == targets.__name__
    }
    assert set(theory.targets.__all__) == {name for name in defined if not name.startswith("_")}
    for short, home in ((theory.schedules, schedules), (theory.targets, targets)):
        for name in short.__all__:
            assert getattr(short, name) is getattr(home, name), name


@pytest.mark.parametrize("package", [theory, toy, real], ids=lambda p: p.__name__)
def test_a_package_lists_the_names_that_it_has(package):
    assert "__version__" in package.__all__ and dir(package) == package.__all__
    assert not hasattr(package, "nothing")
