"""Cases of the claims on regressions of first order."""

from hypothesis import HealthCheck, Phase, given, settings

from toy.claims.first_order import CASES, FEATURES


def test_cases_have_every_feature():
    seen = set()

    @settings(
        max_examples=200, phases=[Phase.generate], database=None, derandomize=True, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(CASES)
    def look(case):
        seen.update(case.features)

    look()
    assert seen == set(FEATURES)
