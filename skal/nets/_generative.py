"""A net with a generator of images: how its parts are built and trained together."""

from collections.abc import Mapping

import numpy as np
import torch
from skorch.dataset import unpack_data
from skorch.utils import to_tensor

from skal.nets import generative_losses as losses
from skal.nets.batches import unweighted, weighted
from skal.nets.classifier import NetClassifier
from skal.nets.generative_modules import ImageDiscriminator, ImageEncoder, ImageGenerator
from skal.nets.image_frame import ImageFrame
from skal.nets.modules import built
from skal.nets.seeding import modes_kept

_PARTS = {"encoder": ImageEncoder, "generator": ImageGenerator, "discriminator": ImageDiscriminator}
_BETAS = 0.5, 0.999  # of Adam, as is usual with discriminators
_RECORDED = "generated_loss", "encoder_loss", "generator_loss", "discriminator_loss", "distance"


class GenerativeNet(NetClassifier):
    """What trains a VAE-ACGAN; `GenerativeAugmentationClassifier` is the class for users."""

    def __setattr__(self, name, value):
        """Store parameters as they are: an instance of a part is no part of the net yet."""
        if name in _PARTS:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    # -- building ----------------------------------------------------------------------------------

    def initialize_module(self):
        """Build the classifier, and, where images are generated, the other parts."""
        super().initialize_module()
        self.warmup_ = []
        for name, default in _PARTS.items():
            if self._generates():
                setattr(self, name + "_", self._part(name, default))
            elif name + "_" in vars(self):
                delattr(self, name + "_")
        if self._generates():
            self._check_parts()
        else:  # their parameters wait for a search to switch them on, and are no typing errors
            waiting = tuple(f"{name}__" for name in _PARTS)
            self._params_to_validate = {
                name for name in self._params_to_validate if not name.startswith(waiting)
            }
        return self

    def initialize_optimizer(self, *args, **kwargs):
        """Build the optimizer of the classifier, and that of the other parts."""
        super().initialize_optimizer(*args, **kwargs)
        if self._generates():
            self.generative_optimizer_ = torch.optim.Adam(
                self._weights(*_PARTS), lr=float(self.generative_lr), betas=_BETAS
            )
        elif "generative_optimizer_" in vars(self):
            del self.generative_optimizer_
        return self

    def get_all_learnable_params(self):
        """Names and weights of classifier and criterion, which `optimizer` trains."""
        others = {id(weight) for weight in self._weights(*_PARTS)} if self._generates() else ()
        return (
            (name, weight) for name, weight in super().get_all_learnable_params() if id(weight) not in others
        )

    def _generates(self):
        return self.generated_weight > 0

    def _check_parameters(self):
        if isinstance(self.module, NetClassifier):
            raise TypeError(
                f"{type(self).__name__} is itself a net, and takes the torch module of one: pass module= and "
                "the other parameters of the NetClassifier"
            )
        super()._check_parameters()

    def _check_training_set(self, X, y, sample_weight, classes, reset):
        rows, codes = super()._check_training_set(X, y, sample_weight, classes, reset)
        images, _ = unweighted(rows)
        if self._generates() and (isinstance(X, Mapping) or not isinstance(images, np.ndarray)):
            raise TypeError(
                f"{type(self).__name__} generates images from arrays in memory, and got {type(X).__name__}: "
                "pass an array, or generated_weight=0 to generate nothing"
            )
        if self._generates() and not reset and "generator_" not in vars(self):
            raise ValueError(
                f"{self} has no generator to go on with, since generated_weight was 0 when it was built: "
                "call fit without warm_start"
            )
        if self._generates() and reset:
            self.frame_ = ImageFrame.of(images, self.in_shape_)
        return rows, codes

    def _part(self, name, default):
        if "frame_" not in vars(self):
            raise ValueError(f"{self} builds its generator by the shape of X: call fit first")
        learned = {
            "in_shape": self.frame_.unit_shape,
            "n_latent": self.n_latent,
            "n_classes": len(self._known_classes()),
        }
        module = getattr(self, name)
        part = built(default if module is None else module, self.get_params_for(name), learned)
        return part.to(self._torch_dtype())

    def _check_parts(self):
        """Refuse parts that don't fit together, before any training."""
        images = torch.zeros(2, *self.frame_.unit_shape, dtype=self._torch_dtype())
        codes, latent = torch.zeros(2, dtype=torch.long), images.new_zeros(2, self.n_latent)
        asked = {
            "encoder": ((images,), (2, 2 * self.n_latent)),
            "generator": ((latent, codes), tuple(images.shape)),
            "discriminator": ((images,), (2,)),
        }
        for name, (arguments, expected) in asked.items():
            part = getattr(self, name + "_")
            with torch.no_grad(), modes_kept(part):
                shape = tuple(part.eval()(*arguments).shape)
            if shape != expected and not (name == "discriminator" and shape == (2, 1)):
                raise ValueError(
                    f"{type(self).__name__} needs of its {name}, for two images, an array of shape "
                    f"{expected}, and {type(part).__name__} returned {shape}"
                )

    def _weights(self, *names):
        return [
            weight
            for name in names
            for weight in getattr(self, name + "_").parameters()
            if weight.requires_grad
        ]

    # -- training ----------------------------------------------------------------------------------

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """One epoch and the means of all losses; before the first one, the warm-up."""
        if not (training and self._generates()):
            return super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        if not self.warmup_:  # new parts, in whatever epoch of the classifier
            self._warm_up(iterator)
        super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        batches = self.history[-1]["batches"]
        for name in _RECORDED if batches else ():
            values = torch.stack([batch[name] for batch in batches]).tolist()  # a GPU waits once
            for batch, value in zip(batches, values, strict=True):
                batch[name] = value
            self.history.record(name, float(np.mean(values)))
        return None

    def train_step_single(self, batch, **fit_params):
        """All losses and their gradients for one batch."""
        if not self._generates():
            return super().train_step_single(batch, **fit_params)
        self._set_training(True)
        images, codes, weight = self._opened(batch)
        siblings, samples, found = self._generator_step(images, codes, weight, joint=True)
        found["discriminator_loss"] = self._discriminator_step(images, siblings, samples, weight)
        Xi, yi = unpack_data(batch)
        y_pred = self.infer(Xi, **fit_params)
        loss = self.get_loss(y_pred, yi, X=Xi, training=True)
        # Siblings and samples in one pass: the mean over both is half of the sum of their means.
        twice = None if weight is None else torch.cat([weight, weight])
        generated = 2 * self._loss_of(torch.cat([siblings, samples]), torch.cat([codes, codes]), twice)
        self.scaler_.scale(loss + self.generated_weight * generated).backward()
        for name, value in (found | {"generated_loss": generated}).items():
            self.history.record_batch(name, value.detach())
        return {"loss": loss, "y_pred": y_pred}

    def _warm_up(self, iterator):
        """Train encoder and generator on the reconstruction alone, for some steps."""
        self._set_training(True)
        n_left = self.warmup_steps
        while n_left > 0:
            steps = []
            for _, batch in zip(range(n_left), iterator, strict=False):
                self.generative_optimizer_.zero_grad()
                steps.append(self._generator_step(*self._opened(batch), joint=False)[-1])
                self.scaler_.step(self.generative_optimizer_)
                self.scaler_.update()
            if not steps:  # a loader that drops its only batch
                return
            n_left -= len(steps)
            means = {name: torch.stack([step[name] for step in steps]).mean().item() for name in steps[0]}
            self.warmup_.append(means)

    def _generator_step(self, images, codes, weight, *, joint):
        """Gradients of encoder and generator; -> siblings, samples, their losses.

        Samples, and what they are judged by, only where the training is `joint`.
        """
        encoded = self.encoder_(images)
        siblings = self.generator_(losses.reparametrized(encoded, self._noise(len(images))), codes)
        off = losses.mean(losses.reconstruction(siblings, images, self.frame_.variance), weight)
        divergence = self.kl_weight * losses.mean(losses.divergence(encoded), weight)
        of_generator, samples = self.reconstruction_weight * off, None
        if joint:
            samples = self.generator_(self._noise(len(images)), codes)
            fooled = losses.mean(losses.taken_for(self.discriminator_(samples), 1), weight)
            with modes_kept(self.module_):  # its dropout and its batch statistics are not for this
                self.module_.eval()
                recognized = self._loss_of(samples, codes, weight)
            of_generator = of_generator + self.adversarial_weight * fooled + recognized
        # The gradients of both losses in one pass. That of the encoder's is multiplied by a constant, which
        # Adam does not see, and what samples are judged by does not reach the encoder.
        total = of_generator + self.reconstruction_weight * divergence
        self.scaler_.scale(total).backward(inputs=self._weights("encoder", "generator"))
        distance = losses.mean(losses.distance(siblings, images), weight)
        found = {"encoder_loss": off + divergence, "generator_loss": of_generator, "distance": distance}
        found = {name: value.detach() for name, value in found.items()}
        return siblings.detach(), None if samples is None else samples.detach(), found

    def _discriminator_step(self, images, siblings, samples, weight):
        """Gradients of the discriminator; -> its loss."""
        seen = [(images, 1), (siblings, 0), (samples, 0)]
        loss = sum(
            losses.mean(losses.taken_for(self.discriminator_(part), real), weight) for part, real in seen
        )
        self.scaler_.scale(loss).backward(inputs=self._weights("discriminator"))
        return loss

    def _step_optimizer(self, step_fn):
        """One step of both optimizers: skorch would compute all gradients once for each."""
        self.optimizer_.step(step_fn)
        if self._generates():
            self.generative_optimizer_.step()

    def _loss_of(self, images, codes, weight):
        """The classifier's loss of generated images."""
        rows = self.frame_.restored(images)
        X = rows if weight is None else weighted(rows, weight)
        return self.get_loss(self.infer(X), codes, X=X, training=True)

    def _opened(self, batch):
        """Images (b, c, h, w) in [0, 1], codes and weights of a batch, on the device."""
        Xi, yi = unpack_data(batch)
        _, weight = unweighted(Xi)
        images = self.frame_.unit(self._as_input(Xi))
        return images, to_tensor(yi, self.device), None if weight is None else weight.to(images)

    def _noise(self, n):
        return torch.randn(n, self.n_latent, dtype=self._torch_dtype(), device=self._place())
