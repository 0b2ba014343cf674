"""A calibration inside the user's own pipeline is the calibrated network, and nothing else changes."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import jaxtyping
import pytest
import torch
from diffusers import (
    DDPMScheduler,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    UnCLIPScheduler,
)

from real.calibrated import drop_in
from real.calibrated.card import calibration_card
from real.calibrated.drop_in import attach, from_pretrained
from real.checkpoints import load
from tests.edited import with_shift
from tests.real import tiny_pipelines
from tests.refusals import refusal
from theory.calibration.network import Calibrated
from theory.calibration.procedure import calibrate
from theory.estimators.class_shift import ClassShift
from theory.estimators.slopes import Slopes
from theory.support.errors import InputError

KINDS = ("ddpm", "sd1", "sd2", "xl", "dit", "sd3-t5")
PROMPT, LABEL, STEPS = "a cat", 7, 3


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pipelines")
    return {kind: tiny_pipelines.save(kind, root / kind) for kind in KINDS}


@pytest.fixture(scope="module")
def checkpoints(folders):
    return {kind: load(folder) for kind, folder in folders.items()}


@pytest.fixture(scope="module")
def calibrations(checkpoints):
    return {kind: calibrated(checkpoint, 1.0) for kind, checkpoint in checkpoints.items()}


def calibrated(checkpoint, scale, **provenance):
    """A calibration at every part of the schedule, its shift made large enough to be seen."""
    images = torch.randn(4, *checkpoint.shape, generator=generator())
    conditions = {None: None, "text": ["a", "b", "c", "d"]}.get(
        checkpoint.conditions, torch.arange(4)
    )
    schedule = checkpoint.schedule
    times = [0, 250, 500, 750, 999] if schedule.t_max > 1 else [0.0, 0.25, 0.5, 0.75, 1.0]
    made = calibrate(
        checkpoint.predict, schedule, target=checkpoint.target, images=images, times=times,
        conditions=conditions, provenance={"fingerprint": checkpoint.fingerprint, **provenance},
        order=0,
    )  # fmt: skip
    shift = torch.randn(made.shift.shape, dtype=torch.float64, generator=generator())
    return with_shift(made, scale * shift)


def of_order_one(calibration, labelled):
    """With slopes, and a shift of each class where there are labels, large enough to be seen."""

    def some(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator())

    n, shape = len(calibration.times), calibration.shape
    slopes = Slopes(
        offset=some(n, *shape), pixel=0.2 * some(n, 2, *shape), cosine=0.2 * some(n, 2, *shape),
        kinds=("pixel",) * n, gains=some(n), certificates=some(n),
        noise_energy=some(n, 2).square(),
    )  # fmt: skip
    of_classes = [ClassShift(some(n, 9, *shape), some(n, 9), some(n), some(n))] if labelled else []
    return replace(calibration, parts=(calibration.constant, slopes, *of_classes))


def generator():
    return torch.Generator().manual_seed(0)


def pipeline(folder, dtype=torch.float32):
    pipe = DiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe if dtype == torch.float32 else pipe.to(dtype)


def arguments(kind, guidance=5.0):
    if kind == "ddpm":
        return {"output_type": "np"}
    if kind == "dit":
        return {"class_labels": [LABEL, 8], "guidance_scale": guidance, "output_type": "pt"}
    return {"prompt": [PROMPT, "b"], "guidance_scale": guidance, "output_type": "latent"}


def sample(pipe, kind, steps=STEPS, guidance=5.0):
    return torch.as_tensor(
        pipe(**arguments(kind, guidance), num_inference_steps=steps, generator=generator()).images
    )


def watched(pipe, kind, **more):
    """The images, and what the network was given and gave back at each step."""
    network = getattr(pipe, "unet", None) or pipe.transformer
    calls = []

    def watch(module, args, kwargs, output):
        x_t = args[0] if args else kwargs["hidden_states"]
        t = args[1] if len(args) > 1 else kwargs["timestep"]
        calls.append((x_t, torch.as_tensor(t).expand(len(x_t)), output[0]))

    handle = network.register_forward_hook(watch, with_kwargs=True)
    images = sample(pipe, kind, **more)
    handle.remove()
    return images, calls


def condition(kind):
    if kind == "ddpm":
        return None
    return torch.tensor([LABEL, 8, 1000, 1000]) if kind == "dit" else ["", "", PROMPT, "b"]


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_network_of_the_pipeline_is_the_calibrated_one(
    folders, checkpoints, calibrations, kind, order
):
    pipe, checkpoint = pipeline(folders[kind]), checkpoints[kind]
    calibration = calibrations[kind]
    if order:
        calibration = of_order_one(calibration, labelled=kind == "dit")
    model = Calibrated(checkpoint.predict, calibration)
    plain = sample(pipe, kind)
    with attach(pipe, calibration):
        images, calls = watched(pipe, kind)
    assert len(calls) == STEPS
    assert not torch.allclose(images, plain, atol=1e-2)
    for x_t, t, y in calls:
        t = t / 1000 if kind == "sd3-t5" else t
        expected = model(x_t, t, condition(kind))
        assert torch.allclose(y[:, : checkpoint.shape[0]], expected, rtol=1e-4, atol=1e-5)


def loop(pipe, model, kind, scheduler_arguments=None):
    """What the pipeline's call does, written by hand around a calibrated model."""
    scheduler, guided = pipe.scheduler, kind != "ddpm"
    if kind == "ddpm":
        x = torch.randn(1, 3, 8, 8, generator=(noise := generator()))
    else:
        x = torch.randn(2, 4, 8, 8, generator=(noise := generator()))
    scheduler.set_timesteps(STEPS)
    x = x * getattr(scheduler, "init_noise_sigma", 1.0)
    for t in scheduler.timesteps:
        time = t / 1000 if kind == "sd3-t5" else t
        x_in = torch.cat([x, x]) if guided else x
        if hasattr(scheduler, "scale_model_input"):
            x_in = scheduler.scale_model_input(x_in, t)
        y = model(x_in, time.expand(len(x_in)), condition(kind))
        if guided:
            first, second = y.chunk(2)
            null, given = (second, first) if kind == "dit" else (first, second)
            y = null + 5.0 * (given - null)
        more = {"generator": noise} if kind == "ddpm" else {}
        x = scheduler.step(y, t, x, **more).prev_sample
    return x


@pytest.mark.parametrize("kind", ["ddpm", "sd1", "sd2", "xl", "dit", "sd3-t5"])
def test_call_of_the_pipeline_is_the_loop_by_hand(folders, checkpoints, calibrations, kind):
    pipe, checkpoint = pipeline(folders[kind]), checkpoints[kind]
    with attach(pipe, calibrations[kind]):
        images = sample(pipe, kind)
    x = loop(pipe, Calibrated(checkpoint.predict, calibrations[kind]), kind)
    if kind in ("ddpm", "dit"):
        decoded = checkpoint.codec.decode(x) if checkpoint.codec else x
        x = (decoded / 2 + 0.5).clamp(0, 1)
        images = images if kind == "dit" else images.permute(0, 3, 1, 2)
    assert torch.allclose(images, x, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_removing_restores_and_no_shift_changes_no_bit(folders, checkpoints, calibrations, kind):
    pipe = pipeline(folders[kind])
    plain = sample(pipe, kind)
    handle = attach(pipe, calibrations[kind])
    assert not torch.equal(sample(pipe, kind), plain)
    handle.remove()
    assert torch.equal(sample(pipe, kind), plain)
    with attach(pipe, calibrated(checkpoints[kind], 0.0)):
        assert torch.equal(sample(pipe, kind), plain)


HALF = [(kind, dtype) for kind in KINDS for dtype in (torch.bfloat16, torch.float16)]
HALF.remove(("ddpm", torch.bfloat16))  # its images become numpy arrays, which know no bfloat16


@pytest.mark.parametrize(("kind", "dtype"), HALF)
def test_half_precision_goes_on(folders, checkpoints, calibrations, kind, dtype):
    pipe = pipeline(folders[kind], dtype)
    network = getattr(pipe, "unet", None) or pipe.transformer
    assert network.dtype == dtype
    plain_images, plain = watched(pipe, kind, steps=1)
    with attach(pipe, calibrations[kind]):
        images, calls = watched(pipe, kind, steps=1)
    (_, t, y), (_, _, before) = calls[0], plain[0]
    shift = calibrations[kind].at(t / 1000 if kind == "sd3-t5" else t)
    channels = shift.shape[1]
    assert y.dtype == dtype
    assert torch.equal(y[:, :channels], before[:, :channels] - shift.to(dtype))
    assert torch.equal(y[:, channels:], before[:, channels:])
    assert images.dtype == plain_images.dtype
    assert images.isfinite().all()


@pytest.mark.parametrize(
    ("scheduler", "options"),
    [
        (EulerDiscreteScheduler, {"use_karras_sigmas": True}),
        (EulerDiscreteScheduler, {"timestep_spacing": "linspace"}),
        (HeunDiscreteScheduler, {}),
        (DPMSolverMultistepScheduler, {}),
    ],
)
def test_any_scheduler_of_the_same_betas(folders, checkpoints, calibrations, scheduler, options):
    pipe = pipeline(folders["sd1"])
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config, **options)
    model = Calibrated(checkpoints["sd1"].predict, calibrations["sd1"])
    with attach(pipe, calibrations["sd1"]):
        _, calls = watched(pipe, "sd1", steps=4)
    for x_t, t, y in calls:
        assert torch.allclose(y, model(x_t, t, condition("sd1")), rtol=1e-4, atol=1e-4)
    if options.get("use_karras_sigmas"):
        assert any(t[0] != t[0].round() for _, t, _ in calls)


@pytest.mark.parametrize("kind", ["sd1", "xl", "dit", "sd3-t5"])
def test_branches_of_guidance_get_their_own_shift(folders, checkpoints, calibrations, kind):
    pipe, conditional = pipeline(folders[kind]), calibrations[kind]
    unconditional = with_shift(conditional, -2 * conditional.shift)
    _, plain = watched(pipe, kind, steps=1)
    with attach(pipe, conditional, unconditional=unconditional):
        _, calls = watched(pipe, kind, steps=1)
        _, unguided = watched(pipe, kind, steps=1, guidance=1.0)
    (_, t, y), (_, _, before) = calls[0], plain[0]
    shift = conditional.at(t / 1000 if kind == "sd3-t5" else t).float()
    factor = torch.tensor([1.0, 1, -2, -2] if kind == "dit" else [-2.0, -2, 1, 1])
    channels = shift.shape[1]
    expected = before[:, :channels] - factor[:, None, None, None] * shift
    assert torch.allclose(y[:, :channels], expected, atol=1e-5)
    given = slice(0, 2) if kind == "dit" else slice(2, 4)
    assert torch.allclose(unguided[0][2][:, :channels], expected[given], rtol=1e-4, atol=1e-5)


def test_second_calibration_expects_a_pipeline_whose_guidance_is_known(folders, calibrations):
    with pytest.raises(InputError, match=r"for the unconditional branch.*got DDPMPipeline"):
        attach(pipeline(folders["ddpm"]), calibrations["ddpm"], calibrations["ddpm"])


def test_other_networks_are_refused(tmp_path, folders, calibrations):
    pipe, calibration = pipeline(folders["sd1"]), calibrations["sd1"]
    with torch.no_grad():
        pipe.unet.conv_out.bias[0] += 1e-3
    with pytest.raises(InputError, match="made for another network"):
        attach(pipe, calibration)
    with pytest.raises(InputError, match="made for another target"):
        attach(pipeline(folders["sd2"]), calibration)
    with pytest.raises(InputError, match="made for another image shape"):
        attach(pipeline(folders["ddpm"]), calibration)
    pipe = pipeline(folders["sd1"])
    with pytest.raises(InputError, match="made for another network"):
        attach(pipe, calibration, replace(calibration, provenance={"fingerprint": "other"}))
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, beta_end=0.013)
    with pytest.raises(InputError, match="made for another schedule"):
        attach(pipe, calibration)
    assert not pipe.unet._forward_hooks


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_other_networks_in_half_precision_are_refused(tmp_path, folders, calibrations, dtype):
    folder = tmp_path / "sd1"
    shutil.copytree(folders["sd1"], folder)
    pipe = pipeline(folder, dtype)
    with torch.no_grad():
        pipe.unet.conv_out.bias[0] += 0.1
    with pytest.raises(InputError, match="made for another network"):
        attach(pipe, calibrations["sd1"])
    pipe = pipeline(folder, dtype)
    shutil.rmtree(folder / "unet")
    with pytest.raises(InputError, match=f"expected a network in float32, .* got {dtype} without;"):
        attach(pipe, calibrations["sd1"])
    early = pipeline(folders["sd1"])
    with attach(early, calibrations["sd1"]):
        early.to(dtype)
        assert sample(early, "sd1").dtype == dtype


def test_other_sizes_are_refused_when_the_pipeline_runs(folders, calibrations):
    pipe = pipeline(folders["sd1"])
    size = 32 // pipe.vae_scale_factor, 16 // pipe.vae_scale_factor
    said = f"calibrated for samples of shape {(4, 8, 8)}, the pipeline runs at {size}"
    with attach(pipe, calibrations["sd1"]), pytest.raises(InputError, match=re.escape(said)):
        pipe(PROMPT, height=32, width=16, num_inference_steps=1, generator=generator())


def test_what_is_no_pipeline_of_a_known_kind_is_refused(calibrations):
    with pytest.raises(InputError, match="expected a pipeline with a unet or a transformer"):
        attach(object(), calibrations["sd1"])


@pytest.mark.parametrize("first", ["compile", "attach"])
def test_compiled_networks_are_calibrated(folders, calibrations, first):
    pipe = pipeline(folders["ddpm"])
    with attach(pipe, calibrations["ddpm"]):
        expected = sample(pipe, "ddpm")
    if first == "attach":
        attach(pipe, calibrations["ddpm"])
    pipe.unet = torch.compile(pipe.unet, backend="eager")
    if first == "compile":
        attach(pipe, calibrations["ddpm"])
    assert torch.allclose(sample(pipe, "ddpm"), expected, atol=1e-5)
    with pytest.raises(InputError, match="attached already"):
        attach(pipe, calibrations["ddpm"])


def test_adapters_make_another_network(folders, calibrations):
    """Before and after the calibration is attached; a network without them goes on."""
    peft = pytest.importorskip("peft")
    pipe = pipeline(folders["sd1"])
    handle = attach(pipe, calibrations["sd1"])
    shifted = sample(pipe, "sd1")
    with torch.random.fork_rng():  # peft draws from the global generator
        pipe.unet.add_adapter(peft.LoraConfig(target_modules=["to_q"]), "style")
    with pytest.raises(
        InputError, match="calibrated without adapters, the network has style; unload"
    ):
        sample(pipe, "sd1")
    handle.enabled = False
    sample(pipe, "sd1")
    handle.remove()
    with pytest.raises(InputError, match="the network has style"):
        attach(pipe, calibrations["sd1"])
    pipe.unload_lora_weights()
    with attach(pipe, calibrations["sd1"]):
        assert torch.equal(sample(pipe, "sd1"), shifted)


def test_adapters_are_told_by_what_diffusers_notes(folders, calibrations):
    """As above, where peft is not installed."""
    pipe = pipeline(folders["ddpm"])
    with attach(pipe, calibrations["ddpm"]):
        sample(pipe, "ddpm")
        pipe.unet._hf_peft_config_loaded, pipe.unet.peft_config = True, {"style": None}
        with pytest.raises(InputError, match="calibrated without adapters, the network has style"):
            sample(pipe, "ddpm")


def test_a_calibration_goes_with_offloading(folders, calibrations):
    """Weights that come one after another are the same weights."""
    accelerate = pytest.importorskip("accelerate")
    pipe = pipeline(folders["sd1"])
    with attach(pipe, calibrations["sd1"]):
        shifted = sample(pipe, "sd1")
        accelerate.cpu_offload(pipe.unet, execution_device="cpu")
        assert torch.equal(sample(pipe, "sd1"), shifted)


def test_weights_that_are_elsewhere_cannot_be_known(folders, calibrations):
    pipe = pipeline(folders["ddpm"])
    pipe.unet.to("meta")
    with pytest.raises(InputError, match="attach the calibration first, then offload"):
        attach(pipe, calibrations["ddpm"])


def test_no_calibration_is_attached_twice(folders, calibrations):
    pipe = pipeline(folders["ddpm"])
    with attach(pipe, calibrations["ddpm"]), pytest.raises(InputError, match="attached already"):
        attach(pipe, calibrations["ddpm"])
    attach(pipe, calibrations["ddpm"]).remove()


def test_calibration_lies_beside_the_pipeline(tmp_path, folders, calibrations):
    folder, calibration = tmp_path / "sd1", calibrations["sd1"]
    shutil.copytree(folders["sd1"], folder)
    path = drop_in.save_pretrained(calibration, folder)
    assert path == folder / "calibration" / "calibration.safetensors"
    drop_in.save_pretrained(with_shift(calibration, 0 * calibration.shift), folder, "null")
    back = drop_in.from_pretrained(folder)
    assert torch.equal(back.shift, calibration.shift)
    assert drop_in.from_pretrained(folder, "null").shift.abs().max() == 0
    with attach(pipeline(folder), back):
        pass
    assert load(folder).fingerprint == back.provenance["fingerprint"]


def test_the_path_of_a_calibration_is_attached_as_the_calibration_is(
    tmp_path, folders, calibrations
):
    pipe, kind = pipeline(folders["sd1"]), "sd1"
    with attach(pipe, calibrations[kind]):
        expected = sample(pipe, kind)
    file = drop_in.save_pretrained(calibrations[kind], tmp_path)
    for path in (file, str(file), tmp_path, str(tmp_path)):
        with attach(pipe, path):
            assert torch.equal(sample(pipe, kind), expected)
    unconditional = with_shift(calibrations[kind], -2 * calibrations[kind].shift)
    with attach(pipe, calibrations[kind], unconditional):
        expected = sample(pipe, kind)
    other = drop_in.save_pretrained(unconditional, tmp_path, "null")
    with attach(pipe, file, other):
        assert torch.equal(sample(pipe, kind), expected)


@pytest.fixture
def without_type_checker():
    """As users run it: the checker would refuse what is no calibration before ``attach`` can."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_what_is_neither_a_calibration_nor_its_path_is_one_line(
    tmp_path, folders, without_type_checker
):
    pipe = pipeline(folders["ddpm"])
    (tmp_path / "text").write_text("none")
    (tmp_path / "empty").mkdir()
    for given, said in (
        (None, "expected a calibration, or the path of one, got NoneType"),
        (torch.zeros(1), "got Tensor"),
        ({"shift": 0}, "got dict"),
        (tmp_path / "no", "or the path of such a file, got"),
        ("x" * 5000, "or the path of such a file, got"),
        (tmp_path / "empty", "there is none at"),
        (str(tmp_path / "text"), "cannot be read"),
    ):
        with pytest.raises(InputError, match=said) as caught:
            attach(pipe, given)
        assert "\n" not in str(caught.value)
    assert not pipe.unet._forward_hooks


def test_the_old_path_and_the_public_face_are_the_same():
    import real
    from real.drop_in import attach as old
    from real.drop_in import from_pretrained as old_from

    assert old is attach is real.attach
    assert old_from is drop_in.from_pretrained is real.from_pretrained
    for name in real.__all__:
        assert getattr(real, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'atach'"):
        _ = real.atach


def test_a_calibration_is_switched_off_and_on_and_halved(folders, calibrations):
    kind = "sd1"
    pipe = pipeline(folders[kind])
    bare = sample(pipe, kind)
    with attach(pipe, calibrations[kind]) as handle:
        whole = sample(pipe, kind)
        assert not torch.equal(whole, bare)
        handle.enabled = False
        assert torch.equal(sample(pipe, kind), bare)
        handle.enabled = True
        assert torch.equal(sample(pipe, kind), whole)
        handle.strength = 0.5
        half = sample(pipe, kind)
    halved = with_shift(calibrations[kind], 0.5 * calibrations[kind].shift)
    with attach(pipe, halved):
        torch.testing.assert_close(sample(pipe, kind), half, rtol=1e-4, atol=1e-4)
    with attach(pipe, calibrations[kind], strength=0.5):
        assert torch.equal(sample(pipe, kind), half)
    assert torch.equal(sample(pipe, kind), bare)


@pytest.mark.parametrize("strength", [-0.1, 2.1, float("nan"), float("inf")])
def test_a_strength_that_is_none_is_refused(folders, calibrations, strength):
    pipe = pipeline(folders["ddpm"])
    with refusal("drop-in: strength: expected a number from 0 to 2"):
        attach(pipe, calibrations["ddpm"], strength=strength)
    with attach(pipe, calibrations["ddpm"]) as handle, refusal("drop-in: strength"):
        handle.strength = strength
    assert not pipe.unet._forward_hooks


def test_a_callback_switches_it_off_between_steps(folders, calibrations):
    kind = "sd1"
    pipe = pipeline(folders[kind])
    seen = []

    def callback(pipe, step, timestep, given):
        handle.enabled = False
        seen.append(step)
        return given

    with attach(pipe, calibrations[kind]) as handle:
        whole = sample(pipe, kind)
        first = pipe(
            **arguments(kind), num_inference_steps=STEPS, generator=generator(),
            callback_on_step_end=callback,
        ).images  # fmt: skip
    assert seen == list(range(STEPS))
    assert not torch.equal(first, whole) and not torch.equal(first, sample(pipe, kind))


def test_a_network_alone_is_calibrated_as_in_its_pipeline(folders, calibrations):
    pipe = pipeline(folders["sd1"])
    with attach(pipe, calibrations["sd1"]):
        expected = sample(pipe, "sd1")
    with attach(pipe.unet, calibrations["sd1"]):
        assert torch.equal(sample(pipe, "sd1"), expected)
    flow = pipeline(folders["sd3-t5"])
    with refusal("drop-in: expected the pipeline of a flow"):
        attach(flow.transformer, calibrations["sd3-t5"])
    with refusal("made for another"):
        attach(pipe.unet, calibrations["xl"])


class Hub:
    """Stands for the Hub: keeps what is uploaded."""

    def __init__(self):
        self.files, self.made = {}, []

    def create_repo(self, name, **options):
        self.made.append((name, options))

    def upload_folder(self, *, repo_id, folder_path):
        folder = Path(folder_path)
        for path in filter(Path.is_file, folder.rglob("*")):
            self.files[f"{repo_id}/{path.relative_to(folder)}"] = path.read_bytes()
        return f"hub/{repo_id}"


def test_what_is_pushed_is_what_is_attached_by_its_id(tmp_path, monkeypatch, folders, calibrations):
    hub = Hub()
    monkeypatch.setattr(drop_in, "HfApi", lambda: hub)
    calibration = replace(calibrations["sd1"], total_certificate=0.25)
    assert drop_in.push_to_hub(calibration, "some/one", private=True) == "hub/some/one"
    assert hub.made == [("some/one", {"private": True, "exist_ok": True})]
    card = hub.files["some/one/README.md"].decode()
    drop_in.push_to_hub(calibration, "some/two", "other")
    assert sorted(hub.files) == [
        "some/one/README.md", "some/one/calibration/calibration.safetensors", "some/two/README.md",
        "some/two/calibration/other.safetensors",
    ]  # fmt: skip
    assert hub.made[1] == ("some/two", {"private": False, "exist_ok": True})
    assert "at least 0.25 nats" in card and 'attach(pipe, "some/one")' in card

    def download(repository, file):
        path = tmp_path / "downloaded"
        path.write_bytes(hub.files[f"{repository}/{file}"])
        return str(path)

    monkeypatch.setattr(drop_in, "hf_hub_download", download)
    pipe = pipeline(folders["sd1"])
    with attach(pipe, calibrations["sd1"]):
        expected = sample(pipe, "sd1")
    with attach(pipe, "some/one"):
        assert torch.equal(sample(pipe, "sd1"), expected)


def test_a_card_names_the_network_the_target_and_what_was_used(calibrations):
    made = calibrations["sd1"].with_provenance(
        checkpoint="some/network", fingerprint="abc", images=123, order=1, seed=7
    )
    card = calibration_card(made, "some/one")
    rows = [line for line in card.splitlines() if line.startswith("| ") and line != "| | |"]
    assert rows == [
        "| network | some/network |", "| fingerprint | abc |", f"| target | {made.target.name} |",
        "| images | 123 |", f"| times | {len(made.times)} |", "| order | 1 |",
    ]  # fmt: skip
    assert "# A calibration of some/network" in card


@pytest.mark.parametrize("bound", [-1.0, 0.0])
def test_a_card_says_what_is_not_certain_and_what_is_doubted(calibrations, bound):
    nothing = replace(
        calibrations["sd1"], total_certificate=bound, doubts=("its channels are reversed",)
    )
    card = calibration_card(nothing, "some/one")
    assert "No gain is certain in all." in card and "It gains" not in card
    assert "its channels are reversed" in card
    assert "It gains at least 0.25 nats" in calibration_card(
        replace(nothing, total_certificate=0.25), "some/one"
    )


def test_a_repository_that_cannot_be_written_is_one_line(monkeypatch, calibrations):
    def fail(*_, **__):
        raise OSError("no\nway")

    hub = Hub()
    hub.create_repo = fail
    monkeypatch.setattr(drop_in, "HfApi", lambda: hub)
    with refusal("hub: cannot upload to some/one: no"):
        drop_in.push_to_hub(calibrations["sd1"], "some/one")
    with refusal("hub: expected an id"):
        drop_in.push_to_hub(calibrations["sd1"], "no id at all")


def test_absent_calibration_is_one_line(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with refusal("expected a file, there is none"):
        drop_in.from_pretrained(tmp_path)
    for reference in ("no one/nothing", "someone/something-not-cached"):
        with pytest.raises(InputError, match="expected a folder or a Hub id with calibration"):
            drop_in.from_pretrained(reference)


def test_where_no_calibration_can_lie_is_said_at_once(tmp_path):
    for reference in (
        "digits",
        tmp_path / "no.safetensors",
        "./missing/one",
        "a/b/c",
        "/x",
    ):
        with refusal("calibration: expected a folder or a Hub id with calibration/", reference):
            from_pretrained(reference)
    with refusal("expected a file, there is none"):
        from_pretrained(tmp_path)


def test_a_scheduler_is_held_against_the_calibrations_own_table(folders, calibrations):
    """Whatever its configuration says: what counts is the table that it holds."""
    calibration = calibrations["ddpm"]
    pipe = pipeline(folders["ddpm"])
    betas = dict(beta_start=1e-4, beta_end=0.02, beta_schedule="linear")
    for right in (LCMScheduler(**betas), HeunDiscreteScheduler(**betas), pipe.scheduler):
        pipe.scheduler = right
        attach(pipe, calibration).remove()
    altered = DDPMScheduler(**betas)
    altered.alphas_cumprod = altered.alphas_cumprod * 0.99
    for wrong in (HeunDiscreteScheduler(), LCMScheduler(), UnCLIPScheduler(), altered):
        pipe.scheduler = wrong
        with refusal("made for another schedule", type(wrong).__name__):
            attach(pipe, calibration)


def test_calibrations_of_exchanged_branches_are_refused(folders, calibrations):
    pipe = pipeline(folders["sd1"])
    joint, null = (calibrations["sd1"].with_provenance(condition=c) for c in ("joint", "null"))
    attach(pipe, joint, unconditional=null).remove()
    for pair in ((null, None), (joint, joint), (null, joint)):
        with pytest.raises(InputError, match="exchanged"):
            attach(pipe, *pair)
