"""What a mixture or a judge of anybody's must do, as tests: derive a class, name what is tested, let pytest collect it.

A package of its own writes::

    from versatune_plugin.testing import MixtureContract

    class TestLoudest(MixtureContract):
        mixture = Loudest
        options = ({}, {"power": 2.0})
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from versatune_plugin.mixtures.base import Mixture, MixtureContext
from versatune_plugin.mixtures.bounds import Bounds
from versatune_plugin.mixtures.controller import MixtureController
from versatune_plugin.mixtures.observations import Measurement
from versatune_plugin.mixtures.stages import PlannedStage

STEPS = 12


class MixtureContract:
    """The contract of a `Mixture`, driven by the controller of a run.

    Attributes:
        mixture: the class.
        options: options as they would stand in a YAML, each tested by itself.
        domains: the names of a run's domains.
    """

    mixture: ClassVar[type[Mixture[Any]]]
    options: ClassVar[Sequence[dict[str, Any]]] = ({},)
    domains: ClassVar[tuple[str, ...]] = ("code", "law", "medicine")

    def test_it_says_what_it_is(self) -> None:
        """Its name, summary and source are there, and every option is described."""
        assert self.mixture.name
        assert self.mixture.summary
        assert self.mixture.source
        assert all(field.description for field in self.mixture.Options.model_fields.values())

    def test_its_options_survive_a_checkpoint(self) -> None:
        """A checkpoint keeps them as JSON."""
        for options in self.options:
            given = self.mixture.Options(**options)
            kept = json.loads(json.dumps(given.model_dump(mode="json"), allow_nan=False))
            assert self.mixture.Options(**kept) == given, options
            assert given.problems(self.domains) == [], options

    def test_what_it_proposes_makes_a_mixture(self) -> None:
        """At every step: finite, not negative, summing to one, and within the bounds if it asks for them."""
        for options in self.options:
            controller = self._controller(options)
            for weights in self._drive(controller, options):
                assert weights.shape == (len(self.domains),)
                assert np.isfinite(weights).all(), options
                assert abs(weights.sum() - 1) < 1e-9, options
                if controller.planned.bounded:
                    assert weights.min() >= controller.bounds.floor - 1e-12, options
                    assert weights.max() <= controller.bounds.cap + 1e-9, options

    def test_it_moves_if_it_says_so(self) -> None:
        """And only then."""
        for options in self.options:
            path = [tuple(weights) for weights in self._drive(self._controller(options), options)]
            moves = self.mixture.requirements(self.mixture.Options(**options)).moves
            assert moves or len(set(path)) == 1, options

    def test_it_is_deterministic(self) -> None:
        """To the last bit."""
        for options in self.options:
            once, again = (self._drive(self._controller(options), options) for _ in range(2))
            assert [weights.tolist() for weights in once] == [weights.tolist() for weights in again], options

    def test_a_run_that_is_stopped_after_any_step_goes_on_alike(self) -> None:
        """What it remembers goes through `state_dict` and `load_state_dict`, as plain JSON."""
        for options in self.options:
            once = self._drive(self._controller(options), options)
            again = self._drive(self._controller(options), options, restarted=True)
            assert [weights.tolist() for weights in once] == [weights.tolist() for weights in again], options

    def test_a_state_of_something_else_is_refused(self) -> None:
        """With ValueError, whatever is in it."""
        for options in self.options:
            try:
                self._controller(options).mixture.load_state_dict({"of something else": 1})
            except ValueError:
                continue
            raise AssertionError(f"{self.mixture.name} took a state that is none of its own")

    def _controller(self, options: dict[str, Any]) -> MixtureController:
        k = len(self.domains)
        rows = np.arange(1, k + 1) * 10
        stage = PlannedStage(self.mixture, self.mixture.Options(**options), 0, STEPS + 1, rows)
        context = MixtureContext(self.domains, rows[::-1] / rows.sum(), rows.astype(np.float64), seed=7)
        return MixtureController([stage], context, Bounds(0.1 / k, 0.9), STEPS + 1, 2, np.full(k, 0.5))

    def _drive(
        self, controller: MixtureController, options: dict[str, Any], restarted: bool = False
    ) -> list[np.ndarray]:
        controller.begin(self._measured(0))
        path = [controller.weights]
        for step in range(1, STEPS + 1):
            batch = (int(np.argmax(controller.weights)), 1.0 + step % 3) if controller.observes_batches else None
            controller.after_step(step, lambda step=step: self._measured(step), batch)  # type: ignore[misc]
            path.append(controller.weights)
            if restarted:
                state = json.loads(json.dumps(controller.state_dict(), allow_nan=False))
                controller = self._controller(options)
                controller.load_state_dict(state, step)
        return path

    def _measured(self, step: int) -> Measurement:
        k = len(self.domains)
        draw = np.random.default_rng(step)
        states = draw.normal(0.5, 1, (k, 3))
        states /= np.linalg.norm(states, axis=1, keepdims=True)
        loss = draw.uniform(0.2, 4, k)
        return Measurement(loss, np.full(k, 9.0), loss, 0.0, [np.array([one]) for one in loss], states @ states.T)


class JudgeContract:
    """The contract of a judge.

    Attributes:
        texts: what is judged; give texts that the judge can tell apart.
        domains: of the columns of its probabilities.
    """

    texts: ClassVar[Sequence[str]] = ("The court dismissed the appeal.", "def add(a, b): return a + b", "...")
    domains: ClassVar[tuple[str, ...]] = ("code", "law", "medicine")

    def judge(self) -> Any:
        """A fresh judge of `domains`, as `axolotl versatune detect` would make it."""
        raise NotImplementedError

    def test_its_rows_are_probabilities(self) -> None:
        """float64, shape (texts, domains); each row sums to one, or is NaN throughout."""
        rows = self.judge().probabilities(self.texts)
        assert rows.dtype == np.float64
        assert rows.shape == (len(self.texts), len(self.domains))
        judged = ~np.isnan(rows).all(axis=1)
        assert (rows[judged] >= 0).all()
        assert np.abs(rows[judged].sum(axis=1) - 1).max(initial=0) < 1e-6

    def test_a_text_is_judged_alike_whatever_stands_beside_it(self) -> None:
        """And by whichever process: kept judgements are used again."""
        together = self.judge().probabilities(self.texts)
        alone = np.concatenate([self.judge().probabilities([text]) for text in self.texts])
        np.testing.assert_allclose(together, alone, atol=1e-6)

    def test_its_settings_are_plain_json_and_the_same_again(self) -> None:
        """Kept judgements are used again only under equal settings."""
        one, two = self.judge(), self.judge()
        assert json.loads(json.dumps(one.settings())) == json.loads(json.dumps(two.settings()))
        json.dumps(one.describe(), allow_nan=False)
