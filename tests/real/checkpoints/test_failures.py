"""A network that fails is named with what it was called with; lack of memory stays what it is."""

from dataclasses import replace

import pytest
import torch

from real.checkpoints.failures import telling
from real.families.checkpoint import Codec
from tests.real.exact import exact_checkpoint
from tests.refusals import refusal
from theory.support.errors import InputError

X_T, T = torch.zeros(3, 2, 1, 1), torch.full((3,), 0.5)


def calls_of(error):
    """All that may be called of a checkpoint whose every call raises the error."""

    def failing(*_):
        raise error

    codec = Codec((2, 1, 1), failing, failing, "mark")
    told = telling(replace(exact_checkpoint("vp"), predict=failing, codec=codec))
    return (
        lambda: told.predict(X_T, T),
        lambda: told.codec.encode(X_T),
        lambda: told.codec.decode(X_T),
    )


def test_failures_name_the_network_and_what_it_was_called_with():
    for call in calls_of(RuntimeError("shapes differ\nat once")):
        with refusal(
            r"^checkpoint: vp fails, called with \(3, 2, 1, 1\): RuntimeError: shapes differ"
        ):
            call()


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("no room"), InputError("its own words")]
)
def test_lack_of_memory_and_refusals_stay_what_they_are(error):
    for call in calls_of(error):
        with pytest.raises(type(error)) as caught:
            call()
        assert caught.value is error


def test_a_prediction_of_another_shape_is_refused():
    network = replace(exact_checkpoint("vp"), predict=lambda x_t, t, condition: x_t[:2])
    with refusal(r"vp: expected a prediction of shape \(3, 2, 1, 1\), got \(2, 2, 1, 1\)"):
        telling(network).predict(X_T, T)
