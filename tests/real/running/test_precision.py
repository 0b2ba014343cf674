"""Half precision rounds as it should, compilation is tried, and conditions are valid."""

from dataclasses import replace

import pytest
import torch

from real.checkpoints.loading import load
from real.running import channels_last, compiled, in_dtype, run_well
from real.running.trial import trial
from theory.support.errors import InputError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("conditions", "expected"), [(None, None), (10, torch.zeros(2)), ("text", ["", ""])]
)
def test_a_trial_gives_a_valid_condition(digits_checkpoint, conditions, expected):
    seen = []

    def predict(x_t, t, condition=None):
        seen.append(condition)
        return x_t

    trial(replace(digits_checkpoint, predict=predict, conditions=conditions), 2, CPU)
    if isinstance(expected, torch.Tensor):
        assert torch.equal(seen[0], expected.long())
    else:
        assert seen == [expected]


@pytest.mark.parametrize(
    ("dtype", "rounding"), [(torch.bfloat16, 2.0**-8), (torch.float16, 2.0**-11)]
)
def test_half_precision_rounds_as_it_should(digits_checkpoint, dtype, rounding):
    x_t = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    t = torch.full((16,), 500)
    exact = digits_checkpoint.predict(x_t, t)
    half = in_dtype(digits_checkpoint, dtype, CPU).predict(x_t, t)
    assert half.dtype == x_t.dtype
    error = ((half - exact).square().mean() / exact.square().mean()).sqrt()
    assert 0.1 * rounding < error < 4 * rounding


def test_the_prediction_has_the_dtype_of_its_input(digits_checkpoint):
    """Also where the network leaves it in half precision."""
    bare = replace(
        digits_checkpoint, predict=lambda x_t, t, c: torch.nn.functional.linear(x_t, torch.eye(8))
    )
    x_t, t = torch.zeros(1, 1, 8, 8), torch.zeros(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert bare.predict(x_t, t, None).dtype == torch.bfloat16
    assert in_dtype(bare, torch.bfloat16, CPU).predict(x_t, t).dtype == torch.float32


def test_float32_is_the_network_itself(digits_checkpoint):
    assert in_dtype(digits_checkpoint, torch.float32, CPU) is digits_checkpoint


def test_half_precision_is_no_other_network(digits_checkpoint):
    half = run_well(digits_checkpoint, CPU, dtype="bfloat16")
    assert half.fingerprint == digits_checkpoint.fingerprint
    assert half.modules["unet"].dtype == torch.float32


class Module(torch.nn.Module):
    """A stand-in that remembers being compiled."""

    compilations = 0

    def compile(self):
        self.compilations += 1


def test_what_predicts_is_compiled_and_the_codec_is_not(digits_checkpoint):
    unet, vae = Module(), Module()
    checkpoint = replace(
        digits_checkpoint, predict=lambda x_t, t, c: x_t, modules={"unet": unet, "vae": vae}
    )
    compiled(checkpoint, CPU)
    assert (unet.compilations, vae.compilations) == (1, 0)


def test_what_does_not_compile_is_refused_in_one_line(digits_checkpoint):
    def predict(x_t, t, c):
        raise RuntimeError("InvalidCxxCompiler: no g++\nSet TORCH_LOGS for more")

    with pytest.raises(InputError, match=r"does not work here: InvalidCxxCompiler: no g\+\+$"):
        compiled(replace(digits_checkpoint, predict=predict, modules={"unet": Module()}), CPU)
    with pytest.raises(InputError, match="digits names none"):
        compiled(replace(digits_checkpoint, modules={}), CPU)


def test_channels_last_changes_the_layout_and_nothing_else():
    checkpoint, vae = load("digits", CPU), torch.nn.utils.skip_init(torch.nn.Conv2d, 2, 2, 3)
    checkpoint = replace(checkpoint, modules={**checkpoint.modules, "vae": vae})
    x_t = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    t, seen = torch.full((8,), 500), []
    plain = checkpoint.predict(x_t, t)
    unet = checkpoint.modules["unet"]
    unet.conv_in.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    laid_out = run_well(checkpoint, CPU, channels_behind=True)
    y = laid_out.predict(x_t, t)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert unet.conv_out.weight.is_contiguous(memory_format=torch.channels_last)
    assert vae.weight.is_contiguous()
    assert y.is_contiguous()
    torch.testing.assert_close(y, plain, rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="channels-last: expected a torch module"):
        channels_last(replace(checkpoint, modules={}))
