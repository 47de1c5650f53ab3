"""Is the label of a new image right? A noise channel between what an image shows and the label it was given.

What the image shows is believed from two sources that never saw its label: the finished networks, and the cleaned
labels of its neighbours in the audited set,

    r(c) ~ p_net(c) ** a * votes(c) ** b,

and labels are given by the audited set's own habits, P(given = y | true = c). Then the probability that a label is
right is P(true = y | given = y) ~ r(y) P(y | y). The two exponents make the given labels of the audited set most
likely; they are all that is fitted, so nothing is trained. Measured: ``docs/rounds.md``.

Limits: networks and neighbours know the audited images better than new ones, so arrivals look a little less certain
than they are; and arrivals of a kind the audited set lacks are judged by what it has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from noisyclean.types import FloatArray, IntArray

__all__ = ["Channel", "confusion_of_given", "fit_channel"]

SMALLEST = 1e-6
"""Added to the networks' probabilities."""
NO_VOTE = 0.02
"""Added to the neighbours' shares: k votes cannot tell a rare class from an impossible one."""
LEAST_NOISE = 0.05
"""Share of wrong labels expected of arrivals at least: a clean audited set says nothing about what comes next."""
PULL = 1e-3
"""Weight that pulls the exponents towards 1 where the data leave them open."""


@dataclass(frozen=True)
class Channel:
    """How far networks and neighbours are believed, and how labels come to be given."""

    trust_net: float
    trust_neighbours: float
    given_by_true_CC: FloatArray
    """P(given = column | true = row)."""

    def believe(self, p_NC: FloatArray, votes_NC: FloatArray) -> FloatArray:
        """What images show; rows sum to 1.

        Args:
            p_NC: The networks' probabilities.
            votes_NC: Share of each class among the neighbours.
        """
        log_r = self.trust_net * np.log(p_NC + SMALLEST) + self.trust_neighbours * np.log(votes_NC + NO_VOTE)
        r_NC = np.exp(log_r - log_r.max(axis=1, keepdims=True))
        belief_NC: FloatArray = r_NC / r_NC.sum(axis=1, keepdims=True)
        return belief_NC

    def judge(self, belief_NC: FloatArray, label_N: IntArray) -> FloatArray:
        """Probability of each true class of images with given labels; rows sum to 1."""
        joint_NC = belief_NC * self.given_by_true_CC.T[label_N]
        posterior_NC: FloatArray = joint_NC / joint_NC.sum(axis=1, keepdims=True)
        return posterior_NC


def confusion_of_given(transition_CC: FloatArray, count_C: IntArray) -> FloatArray:
    """P(given | true) from the estimated P(true | given) and the class sizes, with at least some noise in every class.

    Args:
        transition_CC: Share of the images given as row that are really column.
        count_C: Images given as each class.
    """
    num_classes = len(count_C)
    joint_CC = transition_CC * count_C[:, None] + 1e-9
    channel_CC: FloatArray = (joint_CC / joint_CC.sum(axis=0)).T
    wrong_C = 1 - np.diag(channel_CC)
    short_C = np.maximum(LEAST_NOISE - wrong_C, 0)
    spread_CC = (1 - np.eye(num_classes)) / max(num_classes - 1, 1)
    noisier_CC: FloatArray = channel_CC + short_C[:, None] * (spread_CC - np.eye(num_classes))
    return noisier_CC


def fit_channel(p_NC: FloatArray, votes_NC: FloatArray, label_N: IntArray, given_by_true_CC: FloatArray) -> Channel:
    """Find the exponents under which the audited images' given labels are most likely.

    Args:
        p_NC: The networks' probabilities of audited images.
        votes_NC: Shares among their neighbours, themselves left out.
        label_N: Their given labels.
        given_by_true_CC: P(given | true).
    """

    def channel_of(log_trust: FloatArray) -> Channel:
        return Channel(float(np.exp(log_trust[0])), float(np.exp(log_trust[1])), given_by_true_CC)

    def surprise(log_trust: FloatArray) -> float:
        belief_NC = channel_of(log_trust).believe(p_NC, votes_NC)
        likelihood_N = (belief_NC * given_by_true_CC.T[label_N]).sum(axis=1)
        return float(-np.log(likelihood_N + 1e-12).mean() + PULL * (log_trust**2).sum())

    return channel_of(minimize(surprise, np.zeros(2), method="Nelder-Mead").x)
