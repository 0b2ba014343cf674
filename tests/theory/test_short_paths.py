"""``theory.schedules`` and ``theory.targets`` are the modules that they stand for."""

import theory.schedules
import theory.targets
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
