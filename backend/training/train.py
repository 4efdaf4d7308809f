"""Train the built-in model from nothing: clips, then the autoencoder, then the denoiser. Any number of GPUs of one
host.

    torchrun --nproc-per-node=4 -m backend.training.train --out DIR --work DIR --wordllama DIR [--minutes-... N]

``--work`` keeps the clip bank and checkpoints of this host: the same command goes on after an interruption, from the
last finished stage, or within one from the last checkpoint (one a minute). ``--out`` receives weights, samples and
``training.json``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

LATENT_NOISE = 0.06


class Run:
    """One process of a training run: its device, its folders and what it has to tell."""

    def __init__(self, out: Path, work: Path) -> None:
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu")
        self.cuda = self.device.type == "cuda"
        if self.cuda:
            torch.cuda.set_device(self.device)
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
            torch.backends.cudnn.benchmark = True
        if self.world > 1:
            dist.init_process_group("nccl" if self.cuda else "gloo")
        self.out, self.work = out, work
        for folder in (out, work):
            folder.mkdir(parents=True, exist_ok=True)
        self.report: dict[str, Any] = {"gpus": self.world, "gpu": torch.cuda.get_device_name() if self.cuda else "cpu"}

    def say(self, text: str) -> None:
        if self.rank == 0:
            print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    def note(self, **facts: Any) -> None:
        self.report.update(facts)
        if self.rank == 0:
            (self.out / "training.json").write_text(json.dumps(self.report, indent=1))

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16)

    def distributed(self, net: nn.Module) -> nn.Module:
        net = torch.compile(net) if self.cuda else net  # type: ignore[assignment]
        return nn.parallel.DistributedDataParallel(net) if self.world > 1 else net

    def any_wants_stop(self, stop: bool) -> bool:
        """The same answer on every rank, so that no rank waits for a gradient that never comes."""
        if self.world == 1:
            return stop
        flag = torch.tensor(float(stop), device=self.device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag.item())


def learning_rate(progress: float, peak: float, hold: float) -> float:
    """Warm up over 2 %, hold, then fall to 2 % of the peak along a half cosine. ``progress`` and ``hold`` in [0, 1]."""
    if progress < 0.02:
        return peak * max(0.02, progress / 0.02)
    fall = max(0.0, (progress - hold) / (1 - hold))
    return peak * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * min(1.0, fall))))


class Trainer:
    """The loop both stages share: time-boxed, checkpointed, with an exponential moving average of the weights."""

    def __init__(
        self,
        run: Run,
        name: str,
        net: nn.Module,
        *,
        around: nn.Module,
        peak: float,
        hold: float,
        seconds: float,
        ema: float,
    ) -> None:
        """``net`` holds the weights, ``around`` is what the loss calls (``net`` itself, or a module that holds it)."""
        self.run, self.name, self.net = run, name, net
        self.peak, self.hold, self.seconds, self.decay = peak, hold, seconds, ema
        self.parallel = run.distributed(around)
        self.optimizer = torch.optim.AdamW(net.parameters(), peak, betas=(0.9, 0.95), weight_decay=0.01, fused=run.cuda)
        self.average = {k: v.detach().clone() for k, v in net.state_dict().items()}
        self.step, self.used, self.losses = 0, 0.0, []
        self.path = run.work / f"{name}.pt"
        if self.path.exists():
            saved = torch.load(self.path, map_location=run.device, weights_only=True)
            net.load_state_dict(saved["net"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.average, self.step, self.used = saved["average"], saved["step"], saved["used"]
            run.say(f"{name}: going on at step {self.step}, {self.used:.0f} s")

    def save(self) -> None:
        if self.run.rank:
            return
        state = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "average": self.average}
        beside = self.path.with_suffix(".new")
        torch.save({**state, "step": self.step, "used": self.used}, beside)
        beside.replace(self.path)

    def train(
        self, batches: Iterator[Any], loss_of: Callable[[nn.Module, Any], Tensor], on_save: Callable[[], None]
    ) -> None:
        last, saved = time.time(), time.time()
        for batch in batches:
            progress = self.used / self.seconds
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(progress, self.peak, self.hold)
            loss = loss_of(self.parallel, batch)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
            self.optimizer.step()
            self.step += 1
            decay = min(self.decay, self.step / (self.step + 20))
            values = list(self.net.state_dict().values())
            torch._foreach_lerp_(list(self.average.values()), values, 1 - decay)
            if self.step % 20 == 0:
                self.losses.append(loss.item())
                now = time.time()
                # The compiler's minutes are not training time.
                self.used += min(now - last, 20.0)
                last = now
                if self.run.any_wants_stop(self.used >= self.seconds):
                    break
                if self.step % 500 == 0:
                    recent = self.losses[-25:]
                    self.run.say(
                        f"{self.name}: step {self.step}, {self.used:.0f} s, loss {sum(recent) / len(recent):.4f}"
                    )
                if self.run.any_wants_stop(now - saved > 60):
                    self.save()
                    on_save()
                    saved = last = time.time()
        self.save()
        recent = self.losses[-100:]
        self.run.note(
            **{f"{self.name}_steps": self.step, f"{self.name}_seconds": round(self.used)},
            **({f"{self.name}_loss": sum(recent) / len(recent)} if recent else {}),
        )

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The network with its averaged weights, for as long as the context lasts."""
        own = {k: v.clone() for k, v in self.net.state_dict().items()}
        self.net.load_state_dict(self.average)
        self.net.eval()
        try:
            yield
        finally:
            self.net.load_state_dict(own)
            self.net.train()


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
