"""What `norm_statistics` tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from keras_norms._text_table import text_table


@dataclass(frozen=True)
class Channels:
    """One number for each channel of a batch norm, for plots.

    Attributes:
        mean_off: (mean of the data - moving mean) / moving deviation.
        deviation: deviation of the data / moving deviation.
        batch_mean_off: root mean square over the batches of (mean of the batch - moving mean) / moving deviation.
    """

    mean_off: tuple[float, ...]
    deviation: tuple[float, ...]
    batch_mean_off: tuple[float, ...]


@dataclass(frozen=True)
class Clipping:
    """How far batch renormalization corrects, over batches and channels, at the step where the norm is.

    Attributes:
        r_max, d_max: the limits at this step.
        r, d: the mean of sigma_B / sigma, and that of |mean_B - moving mean| / sigma, before clipping.
        r_clipped, d_clipped: the share of them beyond the limits.
    """

    r_max: float
    d_max: float
    r: float
    d: float
    r_clipped: float
    d_clipped: float


@dataclass(frozen=True)
class NormStatistics:
    """What the batches show of one norm.

    Attributes:
        norm, kind: its name and its class.
        channels: how many it has.
        dead_gamma: channels whose |gamma| is below a thousandth: nothing of the input passes.
        dead_variance: channels of a batch norm whose data have a variance below a hundredth of epsilon: hardly anything
            varies there; of another norm the number of samples' groups.
        mean_off: of a batch norm, the largest |mean of the data - moving mean| of a channel, in moving deviations.
        deviation_smallest, deviation_largest: of a batch norm, deviation of the data over moving deviation.
        batch_mean_off: of a batch norm, by how many moving deviations the mean of a batch is off, root mean square over
            batches and channels: small batches have large ones.
        epsilon, variance_quantiles: its epsilon, and every twentieth part of the variances, of channels in a batch
            norm, else of samples and groups, from the least to the largest.
        epsilon_share: the largest share of epsilon in variance + epsilon.
        largest_input: the largest |x|.
        float16: what half precision would do to it, in words; empty if nothing.
        clipping: of a batch renorm, how far it corrects.
        by_channel: of a batch norm, numbers of each channel.
    """

    norm: str
    kind: str
    channels: int
    dead_gamma: int
    dead_variance: int
    mean_off: float | None
    deviation_smallest: float | None
    deviation_largest: float | None
    batch_mean_off: float | None
    epsilon: float
    variance_quantiles: tuple[float, ...]
    epsilon_share: float
    largest_input: float
    float16: tuple[str, ...] = ()
    clipping: Clipping | None = None
    by_channel: Channels | None = None

    def row(self) -> list[str]:
        """The cells of a table, see `NormReport.HEADER`."""
        off = "" if self.mean_off is None else f"{self.mean_off:.2g}"
        spread = "" if self.batch_mean_off is None else f"{self.batch_mean_off:.2g}"
        low, high = self.deviation_smallest, self.deviation_largest
        ratio = "" if low is None or high is None else f"{low:.2g} to {high:.2g}"
        clipped = "" if self.clipping is None else f"{self.clipping.r_clipped:.0%}, {self.clipping.d_clipped:.0%}"
        dead = f"{self.dead_gamma}, {self.dead_variance} of {self.channels}"
        return [self.norm, self.kind, dead, off, ratio, spread, clipped, f"{self.epsilon_share:.1%}"]


@dataclass(frozen=True)
class NormReport:
    """What the batches show of each norm of a model.

    Attributes:
        norms: a record for each norm that was called.
        batches: how many batches were read.
        samples: how many samples they held.
    """

    norms: tuple[NormStatistics, ...]
    batches: int
    samples: int

    HEADER = (
        "norm",
        "class",
        "dead: gamma, variance",
        "mean off",
        "deviation",
        "batch mean off",
        "clipped: r, d",
        "epsilon",
    )

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        if not self.norms:
            return "There are no norms."
        text = f"Norms: {len(self.norms)}; samples: {self.samples:,}; batches: {self.batches:,}\n\n"
        text += text_table(self.HEADER, [norm.row() for norm in self.norms])
        told = [f"{norm.norm} in float16: {problem}" for norm in self.norms for problem in norm.float16]
        return "\n".join([text, *([""] if told else []), *told])
