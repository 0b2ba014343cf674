"""Cases without the constants of loaded modules: Hypothesis tries them elsewhere, and still can."""

import importlib.util
import sys

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers

from toy.judge.claim import ExactClaim, Mutant
from toy.judge.local_constants import CACHE, COLLECTOR, without_local_constants

RARE = 987_654_321_987


@pytest.fixture(autouse=True)
def a_loaded_module(tmp_path, monkeypatch):
    """The only module that Hypothesis has not seen yet: its number no strategy makes by chance."""
    monkeypatch.setattr(providers, "_seen_modules", {id(m) for m in sys.modules.values()})
    monkeypatch.setattr(providers, "_local_constants", providers.Constants())
    monkeypatch.setattr(providers, "_sys_modules_len", None)
    monkeypatch.setattr(providers, CACHE, type(providers.CONSTANTS_CACHE)(1024))
    path = tmp_path / "module_of_a_user.py"
    path.write_text(f"RARE = {RARE}\n")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)


def is_tried():
    """Whether Hypothesis tries the rare number."""
    tried = set()

    @seed(0)
    @settings(max_examples=2000, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 10**15))
    def keep(number):
        tried.add(number)

    keep()
    return RARE in tried


def test_no_constant_of_a_loaded_module_is_tried():
    assert is_tried()  # the control: else Hypothesis has changed, and the block is for nothing
    with without_local_constants():
        assert not is_tried()
    assert is_tried()


def test_neither_claims_nor_mutants_are_tried_on_them():
    tried = []

    def error(case):
        tried.append(case)
        return 0.0

    claim = ExactClaim("claim", "0", "", st.integers(0, 10**15), error, (Mutant("m", error),))
    assert is_tried()  # fills the cache of constants
    claim.uphold(2000, 0)
    claim.catch(claim.mutants[0], 2000, 0)
    assert len(set(tried)) > 1000
    assert RARE not in tried


def test_the_state_of_hypothesis_is_left_as_it_was():
    is_tried()
    names = COLLECTOR, CACHE, "_local_constants", "_sys_modules_len"
    before = [getattr(providers, name) for name in names]
    kept = dict(providers.CONSTANTS_CACHE.cache)
    with pytest.raises(KeyError), without_local_constants():
        is_tried()
        assert getattr(providers, CACHE) is not before[1]
        raise KeyError
    assert all(getattr(providers, n) is old for n, old in zip(names, before, strict=True))
    assert kept and dict(providers.CONSTANTS_CACHE.cache) == kept


@pytest.mark.parametrize("name", [COLLECTOR, CACHE])
def test_a_hypothesis_that_collects_otherwise_is_refused(monkeypatch, name):
    monkeypatch.delattr(providers, name)
    with pytest.raises(RuntimeError, match=f"has no {name}: it would try constants"):
        ExactClaim("claim", "0", "", st.integers(), lambda case: 0.0, ()).uphold(5, 0)
