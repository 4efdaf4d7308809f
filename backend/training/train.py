"""Train the built-in model from nothing: clips, then the autoencoder, then the denoiser. Any number of GPUs of one
host.

    torchrun --nproc-per-node=4 -m backend.training.train --out DIR --work DIR --wordllama DIR [--minutes-... N]

``--work`` keeps the clip bank and checkpoints of this host: the same command goes on after an interruption, from the
last finished stage, or within one from the last checkpoint (one a minute). ``--out`` receives weights, samples and
``training.json``.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.autoencoder import LATENT_BOUND, FrameAutoencoder
from ..models.denoiser import Condition, Denoiser
from ..models.storage import save_weights
from ..models.text import TextEncoder, embed
from .data import Clips, concatenate, render_bank
from .losses import psnr_db, reconstruction_loss, resampled
from .scenes import Renderer
from .trainer import Run, Trainer

LATENT_NOISE = 0.06


class NoisyReconstruction(nn.Module):
    """Reconstruction with noise on the latents, and a resampled one with its target (see :func:`.losses.resampled`)."""

    def __init__(self, net: FrameAutoencoder) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        latents = self.net.encode(images)
        small, small_latents = resampled(images, latents)
        noisy = latents + LATENT_NOISE * torch.randn_like(latents)
        return self.net.decode(noisy), self.net.decode(small_latents), small


def train_autoencoder(run: Run, pixels: Tensor, held_out: Tensor, seconds: float, batch: int) -> FrameAutoencoder:
    """``pixels`` and ``held_out``: (N, F, 3, 128, 128) uint8."""
    net = FrameAutoencoder().to(run.device)
    around = NoisyReconstruction(net)
    trainer = Trainer(run, "autoencoder", net, around=around, peak=1e-3, hold=0.4, seconds=seconds, ema=0.999)

    def batches() -> Iterator[Tensor]:
        while True:
            clip = torch.randint(len(pixels), (batch,), device=run.device)
            frame = torch.randint(pixels.shape[1], (batch,), device=run.device)
            images = pixels[clip, frame].float() / 127.5 - 1
            if torch.rand(()) < 0.5:
                images = images.flip(-1)
            yield images

    def loss_of(parallel: nn.Module, images: Tensor) -> Tensor:
        with run.autocast():
            output, small_output, small = parallel(images)
        return reconstruction_loss(output.float(), images) + 0.25 * reconstruction_loss(
            small_output.float(), small.float()
        )

    def report() -> None:
        with trainer.averaged(), torch.no_grad(), run.autocast():
            images = held_out[:, ::4].flatten(0, 1).float() / 127.5 - 1
            outputs = torch.cat([net.decode(net.encode(part)).float() for part in images.split(64)])
        run.note(autoencoder_psnr_db=psnr_db(outputs, images))
        run.say(f"autoencoder: held-out PSNR {run.report['autoencoder_psnr_db']:.2f} dB")
        if run.rank == 0:
            save_weights(trainer.average, run.out / "autoencoder.safetensors", int8=False)
            pairs = torch.stack([images, outputs], 1)[:: max(1, len(images) // 48)]
            torch.save(((pairs.clamp(-1, 1) + 1) * 127.5).to(torch.uint8).cpu(), run.out / "autoencoder_pairs.pt")

    trainer.train(batches(), loss_of, report)
    report()
    net.load_state_dict(trainer.average)
    return net.eval()


@torch.no_grad()
def encode_clips(run: Run, net: FrameAutoencoder, pixels: Tensor) -> Tensor:
    """(N, 16, 3, 128, 128) uint8 -> latents (N, 12, 16, 16, 16) half."""
    parts = []
    for clips in pixels.split(32):
        with run.autocast():
            z = net.encode(clips.flatten(0, 1).float() / 127.5 - 1)
        parts.append(z.half().unflatten(0, clips.shape[:2]).transpose(1, 2))
    return torch.cat(parts).contiguous()


def train_denoiser(
    run: Run, latents: Tensor, bank: Clips, table: Tensor, seconds: float, batch: int, shape: tuple[int, int]
) -> None:
    """``latents`` (N, 12, 16, 16, 16) normalised; ``bank`` their captions and views; ``shape`` width and depth."""
    net = Denoiser(dim=shape[0], depth=shape[1]).to(run.device)
    trainer = Trainer(run, "denoiser", net, around=net, peak=8e-4, hold=0.35, seconds=seconds, ema=0.9995)
    tokens, view = bank.tokens.to(run.device), bank.view.to(run.device)

    def batches() -> Iterator[tuple[Tensor, Condition]]:
        while True:
            pick = torch.randint(len(latents), (batch,), device=run.device)
            ids = tokens[pick, torch.randint(tokens.shape[1], (batch,), device=run.device)]
            # No text in a tenth of the samples (for guidance); single words lost in the others (for short prompts).
            drop = torch.rand(batch, 1, device=run.device) < 0.1
            ids = ids.masked_fill(drop | (torch.rand(ids.shape, device=run.device) < 0.05), -1)
            text, mask = embed(table, ids)
            yield latents[pick].float(), Condition(text, mask, view[pick])

    def loss_of(parallel: nn.Module, sample: tuple[Tensor, Condition]) -> Tensor:
        data, condition = sample
        t = torch.sigmoid(torch.randn(batch, device=run.device) + 0.3)
        noise = torch.randn_like(data)
        a = t[:, None, None, None, None]
        with run.autocast():
            velocity = parallel((1 - a) * data + a * noise, t, condition)
        return F.mse_loss(velocity.float(), noise - data)

    def keep() -> None:
        if run.rank == 0:
            save_weights(trainer.average, run.out / "denoiser.safetensors", int8=True)

    trainer.train(batches(), loss_of, keep)
    keep()
    if run.rank == 0:
        net.load_state_dict(trainer.average)
        run.note(denoiser_parameters=sum(p.numel() for p in net.parameters()))


def _stored(run: Run, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """A stage's tensors, made once and kept in the work folder (each rank its own)."""
    path = run.work / f"{name}-{run.rank}.pt"
    if path.exists():
        return torch.load(path, map_location=run.device, weights_only=True)
    made = make()
    beside = path.with_suffix(".new")
    torch.save(made, beside)
    beside.replace(path)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--wordllama", type=Path, default=None, help="folder of the wordllama package")
    parser.add_argument("--pixel-clips", type=int, default=12000, help="clips a GPU that train the autoencoder too")
    parser.add_argument("--latent-clips", type=int, default=20000, help="further clips a GPU, for the denoiser only")
    parser.add_argument("--render-batch", type=int, default=50)
    parser.add_argument("--autoencoder-minutes", type=float, default=5.0)
    parser.add_argument("--denoiser-minutes", type=float, default=14.0)
    parser.add_argument("--autoencoder-batch", type=int, default=96)
    parser.add_argument("--denoiser-batch", type=int, default=96)
    parser.add_argument("--dim", type=int, default=320)
    parser.add_argument("--depth", type=int, default=12)
    args = parser.parse_args()

    run = Run(args.out, args.work)
    torch.manual_seed(run.rank)
    rng = random.Random(run.rank)
    encoder, renderer = TextEncoder(args.wordllama), Renderer(run.device)
    started = time.time()

    def pixels() -> dict[str, Tensor]:
        bank = concatenate(list(render_bank(renderer, encoder, args.pixel_clips, rng, args.render_batch)))
        return vars(bank)

    bank = Clips(**_stored(run, "pixels", pixels))
    held_out = concatenate(list(render_bank(renderer, encoder, 64, random.Random(10**6), 2)))
    run.say(f"{len(bank.pixels)} clips in {time.time() - started:.0f} s")
    net = train_autoencoder(run, bank.pixels, held_out.pixels, 60 * args.autoencoder_minutes, args.autoencoder_batch)

    def latents() -> dict[str, Tensor]:
        parts, tokens, view = [encode_clips(run, net, bank.pixels)], [bank.tokens], [bank.view]
        for clips in render_bank(renderer, encoder, args.latent_clips, rng, args.render_batch):
            parts.append(encode_clips(run, net, clips.pixels))
            tokens.append(clips.tokens)
            view.append(clips.view)
        z = torch.cat(parts)
        # The same normalisation on every rank: rank 0's.
        stats = torch.stack([z.float().mean((0, 2, 3, 4)), z.float().std((0, 2, 3, 4))])
        if run.world > 1:
            dist.broadcast(stats, 0)
        return {"latents": z, "tokens": torch.cat(tokens), "view": torch.cat(view), "stats": stats}

    started = time.time()
    stored = _stored(run, "latents", latents)
    mean, std = stored["stats"].to(run.device)
    run.note(latent_mean=mean.tolist(), latent_std=std.tolist(), latent_bound=LATENT_BOUND)
    run.say(f"{len(stored['latents'])} latent clips in {time.time() - started:.0f} s, std {std.mean():.2f}")
    z = stored["latents"]
    z = ((z - mean.half()[None, :, None, None, None]) / std.half()[None, :, None, None, None]).contiguous()
    run.note(clips=run.world * len(z))
    captions = Clips(bank.pixels[:0], stored["tokens"], stored["view"])
    table = encoder.table.to(run.device)
    train_denoiser(run, z, captions, table, 60 * args.denoiser_minutes, args.denoiser_batch, (args.dim, args.depth))
    run.say("done")
    if run.world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
