"""A small perceptron: fitted by scikit-learn, applied by numpy, and kept as plain numbers, which no version of a
library can misread."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weft.tasks.larmatch.baseline_options import PerceptronOptions

_BATCH = 1000
#: Logit of a class that never occurred.
_NEVER = -1e300


@dataclass(frozen=True)
class Perceptron:
    """Layers of weights [in, out] and biases [out] with ReLU between them; `output`: sigmoid, softmax or identity."""

    weights: Sequence[np.ndarray]
    biases: Sequence[np.ndarray]
    output: str

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """float64 [n, out] of features [n, in]."""
        values = np.asarray(features, np.float64)
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = (np.maximum(values, 0) if k else values) @ weight + bias
        if self.output == "sigmoid":
            return 0.5 * (1 + np.tanh(0.5 * values))
        if self.output == "softmax":
            values = np.exp(values - values.max(axis=1, keepdims=True))
            return values / values.sum(axis=1, keepdims=True)
        return values

    def to_json(self) -> dict[str, Any]:
        return {
            "weights": [weight.tolist() for weight in self.weights],
            "biases": [bias.tolist() for bias in self.biases],
            "output": self.output,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Perceptron:
        weights, biases = ([np.array(part, np.float64) for part in content[name]] for name in ("weights", "biases"))
        return cls(weights, biases, content["output"])


def fit_classes(
    features: np.ndarray, labels: np.ndarray, weights: np.ndarray, n_classes: int, options: PerceptronOptions, seed: int
) -> Perceptron:
    """A perceptron with the probability of each of `n_classes` classes; 0 of those that no label (n,) names.

    One that always gives what there is where there is one class, or none: all alike then.
    """
    from sklearn.neural_network import MLPClassifier

    present = np.unique(labels)
    if len(present) < 2:
        bias = np.zeros(n_classes) if not len(present) else np.where(np.arange(n_classes) == present[0], 0.0, _NEVER)
        return Perceptron([np.zeros((features.shape[1], n_classes))], [bias], "softmax")
    layers, biases = _fitted(MLPClassifier(**_settings(options, seed)), features, labels, weights)
    if len(present) == 2:  # one output, the logit of the second class
        layers[-1] = np.concatenate([np.zeros_like(layers[-1]), layers[-1]], axis=1)
        biases[-1] = np.concatenate([np.zeros_like(biases[-1]), biases[-1]])
    last, bias = np.zeros((layers[-1].shape[0], n_classes)), np.full(n_classes, _NEVER)
    last[:, present], bias[present] = layers[-1], biases[-1]
    return Perceptron([*layers[:-1], last], [*biases[:-1], bias], "softmax")


def fit_values(
    features: np.ndarray, values: np.ndarray, weights: np.ndarray, options: PerceptronOptions, seed: int
) -> Perceptron:
    """A perceptron with the values [n, k > 1] of least squared error; zeros where there are none to learn from."""
    from sklearn.neural_network import MLPRegressor

    if not len(values):
        return Perceptron([np.zeros((features.shape[1], values.shape[1]))], [np.zeros(values.shape[1])], "identity")
    layers, biases = _fitted(MLPRegressor(**_settings(options, seed)), features, values, weights)
    return Perceptron(layers, biases, "identity")


def _settings(options: PerceptronOptions, seed: int) -> dict[str, Any]:
    return {
        "hidden_layer_sizes": options.hidden,
        "alpha": options.l2,
        "batch_size": _BATCH,
        "learning_rate_init": options.learning_rate,
        "max_iter": options.epochs,
        "random_state": seed,
    }


def _fitted(
    model: Any, features: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights and biases of the fitted layers.

    The model learns from features of mean 0 and width 1, whatever their units; the first layer undoes that.
    """
    from sklearn.exceptions import ConvergenceWarning

    weights = weights / weights.mean()
    mean = np.average(features, axis=0, weights=weights)
    width = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))
    width = np.where(width > 1e-9, width, 1.0)
    with warnings.catch_warnings():
        # The number of passes is an option, and fewer samples than a batch are one batch.
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        warnings.filterwarnings("ignore", "Got `batch_size`", UserWarning)
        fitted = model.fit((features - mean) / width, targets, sample_weight=weights)
    layers, biases = list(fitted.coefs_), list(fitted.intercepts_)
    layers[0] = layers[0] / width[:, None]
    biases[0] = biases[0] - mean @ layers[0]
    return layers, biases
