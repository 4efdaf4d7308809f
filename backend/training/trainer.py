"""One training run and the loop that both stages share: any number of GPUs, time-boxed, checkpointed, resumable."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


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
