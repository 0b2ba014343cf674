"""Small untrained pipelines of every kind, made by diffusers' and transformers' own classes."""

import json
import string
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    UNet2DModel,
    VQModel,
)
from tokenizers import Tokenizer, models
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

TOKENS = 8
WIDTH = 16
LETTERS = list(string.ascii_lowercase)
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SD_BETAS = BETAS | {"steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False}


def vae(channels=4, **config):
    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        latent_channels=channels,
        sample_size=16,
        **config,
    )


def vq():
    return VQModel(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        scaling_factor=0.5,
    )


def unet(**config):
    return UNet2DModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        **config,
    )


def text_unet(**config):
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        **config,
    )


def xl_unet(sizes=6):
    return text_unet(
        cross_attention_dim=2 * WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=sizes * 8 + WIDTH,
    )


def dit(**config):
    return DiTTransformer2DModel(
        sample_size=8,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        **config,
    )


def sd3():
    return SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=2 * WIDTH,
        caption_projection_dim=16,
        pooled_projection_dim=2 * WIDTH,
        pos_embed_max_size=8,
    )


def clip_tokenizer(folder):
    """Of single letters."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [*LETTERS, *(letter + "</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=TOKENS
    )


def clip(kind=CLIPTextModel):
    last = 2 * len(LETTERS) + 1
    return kind(
        CLIPTextConfig(
            vocab_size=last + 1,
            hidden_size=WIDTH,
            intermediate_size=WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=TOKENS,
            bos_token_id=last - 1,
            eos_token_id=last,
        )
    )


def t5_tokenizer():
    words = ["<pad>", "</s>", "<unk>", *LETTERS]
    unigram = models.Unigram([(word, -1.0) for word in words], unk_id=2)
    return T5TokenizerFast(
        tokenizer_object=Tokenizer(unigram), pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        extra_ids=0,
    )  # fmt: skip


def t5():
    return T5EncoderModel(
        T5Config(vocab_size=32, d_model=2 * WIDTH, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    )


def ddpm_pipeline():
    return DDPMPipeline(unet(), DDPMScheduler())


def sd1_pipeline(folder, **scheduler):
    return StableDiffusionPipeline(
        vae=vae(),
        text_encoder=clip(),
        tokenizer=clip_tokenizer(folder),
        unet=text_unet(cross_attention_dim=WIDTH),
        scheduler=DDIMScheduler(**(SD_BETAS | scheduler)),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def xl_pipeline(folder):
    return StableDiffusionXLPipeline(
        vae=vae(latents_mean=[0.1, 0.2, 0.3, 0.4], latents_std=[1.0, 2.0, 3.0, 4.0]),
        text_encoder=clip(),
        text_encoder_2=clip(CLIPTextModelWithProjection),
        tokenizer=clip_tokenizer(folder),
        tokenizer_2=clip_tokenizer(folder),
        unet=xl_unet(),
        scheduler=DDIMScheduler(**SD_BETAS),
        add_watermarker=False,
    )


def dit_pipeline():
    return DiTPipeline(dit(), vae(), DDIMScheduler())


def sd3_pipeline(folder, with_t5=False):
    return StableDiffusion3Pipeline(
        transformer=sd3(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(shift_factor=0.06, scaling_factor=1.5),
        text_encoder=clip(CLIPTextModelWithProjection),
        tokenizer=clip_tokenizer(folder),
        text_encoder_2=clip(CLIPTextModelWithProjection),
        tokenizer_2=clip_tokenizer(folder),
        text_encoder_3=t5() if with_t5 else None,
        tokenizer_3=t5_tokenizer() if with_t5 else None,
    )


MAKERS = {
    "ddpm": lambda _: ddpm_pipeline(),
    "sd1": sd1_pipeline,
    "sd2": lambda folder: sd1_pipeline(folder, prediction_type="v_prediction"),
    "xl": xl_pipeline,
    "dit": lambda _: dit_pipeline(),
    "sd3": sd3_pipeline,
    "sd3-t5": lambda folder: sd3_pipeline(folder, with_t5=True),
}


def save(kind: str, folder: Path) -> Path:
    """A pipeline of that kind with random weights, saved by diffusers itself."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipe = MAKERS[kind](folder.parent / "vocabulary")
    pipe.save_pretrained(folder)
    return folder
