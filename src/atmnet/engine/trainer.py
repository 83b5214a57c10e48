"""Training: a loop over steps, each of which depends only on the state before it and on counters.

A run that is killed at any moment and started again ends with the same bits. Random numbers are seeded from (seed,
epoch, position) for a sample, (seed, step) for Mixup, and (seed, step, position of the first image) for drop path, so
checkpoints contain counters and no generator states.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from atmnet.data import (
    Batch,
    Loader,
    StepSampler,
    image_mode,
    reseed,
    train_loader,
)
from atmnet.data.own import Splits
from atmnet.engine.auto_batch import choose_batch, measure_share, recorded_batch
from atmnet.engine.board import Draw, Pictures
from atmnet.engine.checkpoint import (
    amend_checkpoint,
    latest_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)
from atmnet.engine.chosen_data import choose_data, write_division
from atmnet.engine.data_record import DataRecord
from atmnet.engine.distributed import Group, any_process, barrier, data_parallel, process_group
from atmnet.engine.evaluation import evaluate_model, evaluation_loader
from atmnet.engine.extension import change_length
from atmnet.engine.first_lines import first_lines
from atmnet.engine.folder import check_folder, record_options, run_folder
from atmnet.engine.freezing import freeze, hold
from atmnet.engine.interrupt import Interrupted, StopRequest
from atmnet.engine.length import run_length
from atmnet.engine.log import TrainingLog, divergence_error
from atmnet.engine.loss import batch_loss
from atmnet.engine.patience import Patience
from atmnet.engine.rehearsal import check_state, rehearse_optimizer, rehearse_save
from atmnet.engine.resume import Trained, load_state
from atmnet.engine.setup import (
    build_average,
    build_optimizer,
    build_schedule,
    check_numbers,
    check_options,
    check_pairs,
    prepare_model,
)
from atmnet.engine.trackers import check_trackers
from atmnet.engine.trial import check_shapes
from atmnet.engine.unreadable import UnreadableImages
from atmnet.ops._private import keep_compiler_caches_private
from atmnet.tasks import open_training, start_task
from atmnet.tasks.balance import class_groups
from atmnet.threads import cpu_threads
from atmnet_cli.errors import UserError
from atmnet_cli.options import TrainOptions
from atmnet_cli.output_paths import check_output_folder
from atmnet_cli.printing import print_line
from atmnet_cli.streams import durable_streams


def train(options: TrainOptions, splits: Splits | None = None, draw: Draw | None = None) -> Path:
    """Train a network, or resume the run in ``options.output``; returns the run's folder.

    Args:
        options: The options.
        splits: The data sets of a program, instead of those that ``options.data`` names.
        draw: What draws pictures for TensorBoard. Default: there are none.

    Raises:
        UserError: For a mistake that the user can correct; checkpoints are not affected.
        Interrupted: After Ctrl-C or SIGTERM, with everything saved.
    """
    check_numbers(options)
    check_trackers(options.trackers)
    folder = Path(options.output)
    check_output_folder(folder, "output")
    options, line = choose_data(options)
    options = recorded_batch(options)
    with durable_streams(stdout_may_fail=True), cpu_threads(options.threads), ExitStack() as held:
        share = None
        if options.auto_batch and latest_checkpoint(folder) is None:
            check_folder(options)
            share = measure_share(options, splits)
        group = held.enter_context(process_group(options.device))
        if group.is_main:
            held.enter_context(run_folder(options))
        barrier()
        lines = [line] if line else []
        if share is not None:
            options, line = choose_batch(options, share, group)
            lines.append(line)
        trainer = Trainer(options, group, folder, splits, draw)
        if group.is_main:
            for line in lines:
                print_line(line)
        trainer.run()
        barrier()
    return folder


class Trainer:
    """The state of a run, and its loop over steps."""

    def __init__(
        self,
        options: TrainOptions,
        group: Group,
        folder: Path,
        splits: Splits | None = None,
        draw: Draw | None = None,
    ) -> None:
        self.options, self.group, self.folder = options, group, folder
        if latest_checkpoint(folder) is None:
            rehearse_optimizer(options.optim, group.device)
        self.train_split = open_training(options) if splits is None else splits.train
        data = DataRecord(folder, latest_checkpoint(folder), options.allow_data_change, self._print_line)
        if group.is_main:
            data.compare("train", self.train_split)
        check_options(options, len(self.train_split), len(self.train_split.classes), group.world)
        self.length = run_length(options, len(self.train_split))

        reseed(options.seed)
        self.task = start_task(options, self.train_split)
        self.network = self.task.network
        self.frozen = freeze(self.network, options.model.freeze)
        check_pairs(options, group.world, self.task.pairs)
        check_shapes(self.network, options, group.world)
        self.val_split = self.task.open(options.data, options.data.val) if splits is None else splits.val
        if group.is_main:
            data.compare("val", self.val_split)
        self.mode = image_mode(self.network.config)
        self.transform = self.task.train_transform()
        self.model = prepare_model(self.network.model, group, options.channels_last)
        self.ema = build_average(options, self.model)
        self.optimizer = build_optimizer(options.optim, self.model)
        self.schedule = build_schedule(options.optim, self.optimizer, self.length)
        self.scaler = torch.amp.GradScaler(group.device.type, enabled=options.precision == "fp16")
        self.trained = Trained(self.model, self.ema, self.optimizer, self.scaler)
        self.log = TrainingLog(options, group, self.length)
        self.pictures = Pictures(draw, self.task, self.val_split, options, self.length, self.log.print_line)

        self.step = self.evaluated = 0
        self.patience = Patience(options.patience, options.min_delta)
        self.best: dict[str, float] = {}  # step and score; empty before the first evaluation
        self.unreadable = UnreadableImages(len(self.train_split), options.data.max_unreadable, self.log.print_line)
        self._resume()
        if group.is_main:
            if self.step and (line := change_length(folder, options, len(self.train_split), self.step)):
                self._print_line(line)
            if self.step == 0:
                rehearse_save(folder, self.network, self.trained, {"step": 0})
            record_options(folder, options)
            if self.step == 0 and (line := write_division(folder, self.train_split, self.val_split)):
                self._print_line(line)
            data.write()

        self.parallel = data_parallel(self.model) if group.world > 1 else None
        wrapped = self.model if self.parallel is None else self.parallel
        if options.compile:
            keep_compiler_caches_private()
        self.compiled: Callable[..., Any] = torch.compile(wrapped) if options.compile else wrapped

    def run(self) -> None:
        """Take the remaining steps, and evaluate, log and save."""
        options = self.options
        if self._is_over():
            self._print_line(f"{self.folder}: this run is complete; {self._summary()}")
            return
        for line in first_lines(options, self.train_split, self.mode, self.length, self.step):
            self._print_line(line)
        self.log.open(self.folder, self.step)
        self.pictures.board = self.log.board
        if 0 < self.evaluated == self.step:  # TensorBoard drops them as the run resumes
            self.pictures.show_answers(self.step, self._weights_to_use(), self.group.device)
        with StopRequest() as stop, closing(self.log), closing(iter(self._loader())) as batches:
            if self._evaluation_due():  # the run was stopped during an evaluation
                self._evaluate(stop)
            while not self._is_over():
                self._take_step(batches)
                if self.step == 1:
                    check_state(self.optimizer)
                evaluate = self._evaluation_due()
                saved = evaluate or self.step % options.checkpoint_every == 0
                if saved:
                    self._save()
                if evaluate:
                    self._evaluate(stop)
                if self._should_stop(stop.requested) and not self._is_over():
                    if not saved:
                        self._save()
                    raise Interrupted(f"stopped and saved after step {self.step}; run the same command to resume")
        if self.step < self.length.steps:
            self._print_line(self.patience.reason)
        self._print_line(f"done in {self.log.seconds:.1f} s; {self._summary()}")

    def _loader(self) -> Loader:
        options = self.options
        self.sampler = StepSampler(
            len(self.train_split),
            batch_size=options.batch_size,
            parts=options.accumulate,
            seed=options.seed,
            repeats=options.augment.repeats,
            groups=class_groups(self.train_split, "sampling") if options.sampling == "balanced" else (),
            epoch_steps=self.length.steps_per_epoch,
            start_step=self.step,
            total_steps=self.length.steps,
            world=self.group.world,
            rank=self.group.rank,
        )
        workers, pin = options.data.workers, self.group.device.type == "cuda"
        collate = self.task.train_collate
        return train_loader(self.train_split, self.transform, collate, self.mode, self.sampler, workers, pin)

    def _take_step(self, batches: Iterator[Batch]) -> None:
        """Update the weights once, from the gradients of all parts of the step."""
        options = self.options
        self.model.train()
        hold(self.frozen)
        if self.schedule is not None:
            self.schedule.step_update(self.step)
        for part in range(options.accumulate):
            batch = next(batches)
            self.unreadable.add(batch.unreadable)
            if self.step == part == 0:
                self.pictures.show_batch(batch)
            is_last = part == options.accumulate - 1
            with nullcontext() if self.parallel is None or is_last else self.parallel.no_sync():
                loss = self._loss(batch, part) / options.accumulate
                self.scaler.scale(loss).backward()
            self.log.add_loss(loss)

        self.scaler.unscale_(self.optimizer)
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if options.optim.clip_grad:
            nn.utils.clip_grads_with_norm_(parameters, options.optim.clip_grad, norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.ema is not None:
            self.ema.update(self.model, self.step if options.ema_warmup else None)

        if self.log.is_due(self.step):
            self.unreadable.share()
        lr = max(group["lr"] for group in self.optimizer.param_groups)
        self.log.end_step(self.step, lr, norm, len(self.unreadable.names))

    def _loss(self, batch: Batch, part: int) -> Tensor:
        first = self.sampler.first_position(part)
        return batch_loss(self.task, self.compiled, batch, self.options, self.group.device, self.step, first)

    def _is_over(self) -> bool:
        """Whether the last step was evaluated, or enough evaluations were without a better score."""
        return self.evaluated == self.step and (self.step == self.length.steps or self.patience.is_exhausted)

    def _evaluation_due(self) -> bool:
        every = self.options.evaluate_every * self.length.steps_per_epoch
        return self.evaluated < self.step and (self.step == self.length.steps or self.step % every == 0)

    def _evaluate(self, stop: StopRequest) -> None:
        """Evaluate the weights that were just saved, so that a failure or a request to stop loses no training."""
        options, group = self.options, self.group
        loader = evaluation_loader(self.task, self.val_split, options.eval_batch_size, options.data.workers, group)
        start = time.monotonic()
        message = f"stopped in the evaluation after step {self.step}, which is saved; run the same command to resume"
        # Several processes stop together, after it.
        with stop.at_once(message) if group.world == 1 else nullcontext():
            result = evaluate_model(
                self.task,
                self._weights_to_use(),
                loader,
                group,
                precision=options.precision,
                channels_last=options.channels_last,
            )
        if not self.best or result.score > self.best["score"]:
            self.best = {"step": self.step, "score": result.score}
        self.patience.add(result.score)
        self.pictures.show_answers(self.step, self._weights_to_use(), group.device)
        self.log.end_evaluation(self.step, result, time.monotonic() - start)
        self.evaluated = self.step
        self._write(amend_checkpoint, self.folder, self.step, self._counters())

    def _weights_to_use(self) -> nn.Module:
        return self.model if self.ema is None else self.ema.module

    def _save(self) -> None:
        if not all(parameter.isfinite().all() for parameter in self.model.parameters()):
            raise divergence_error("the weights are not finite", self.step)
        self.unreadable.share()
        weights, trainer = self.trained.weights(), self._counters() | self.trained.state()
        self._write(save_checkpoint, self.folder, self.step, self.network, weights, trainer)

    def _counters(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "evaluated": self.evaluated,
            "best": self.best,
            "unreadable": self.unreadable.names,
            "log": self.log.state(),
            "patience": self.patience.state(),
        }

    def _write(self, function: Callable[..., object], *args: Any) -> None:
        """Call ``function``, which writes to the disk, in the main process only."""
        if self.group.is_main:
            try:
                function(*args)
                self._prune()
            except OSError as error:
                raise UserError(
                    f"output: {self.folder}: {error.strerror} at the checkpoint of step {self.step}; earlier "
                    f"checkpoints are intact; correct this and run the same command to resume"
                ) from error
        barrier()

    def _prune(self) -> None:
        prune_checkpoints(self.folder, self.options.keep, int(self.best["step"]) if self.best else None)

    def _resume(self) -> None:
        """Load the newest checkpoint, if there is one."""
        folder = latest_checkpoint(self.folder)
        if folder is None:
            return
        counters = load_state(folder, self.trained)
        self.log.load_state(counters.log)
        self.step, self.evaluated, self.best = counters.step, counters.evaluated, counters.best
        self.unreadable.names = counters.unreadable
        self.patience.load_state(counters.patience)
        if self.group.is_main:
            self._prune()

    def _should_stop(self, requested: bool) -> bool:
        """Whether to stop now. Several processes agree on it only at the log's steps, where they synchronise anyway."""
        if self.group.world == 1:
            return requested
        return self.log.is_due(self.step) and any_process(requested, self.group.device)

    def _summary(self) -> str:
        best, name = self.best, self.task.score_name
        score = f"best {name} {best['score']:.2f} % at step {best['step']}" if best else "not evaluated"
        return f"{score}; checkpoint in {self.folder / 'best'}"

    def _print_line(self, line: str) -> None:
        if self.group.is_main:
            print_line(line)
