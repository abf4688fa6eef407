"""Science, continued: isotopes, half-lives (NUBASE) and neutron capture, as periodictable holds them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import periodictable
from periodictable.activation import nubase2020_halflife
from scipy import constants

from versatune_plugin.quickstart.corpus.fact import Exercise, Fact, capital, count, fact


def isotopes(rng: random.Random, elements: list[Any]) -> Iterator[Fact]:
    """One fact for every known isotope of ``elements``."""
    for isotope in _all_isotopes(elements):
        yield _isotope(rng, isotope)


def _all_isotopes(elements: list[Any]) -> list[Any]:
    return [element[number] for element in elements for number in element.isotopes]


def _isotope(rng: random.Random, isotope: Any) -> Fact:
    name, number, protons = isotope.element.name, isotope.isotope, isotope.element.number
    title, neutrons = f"{name}-{number}", number - protons
    hydrogen, neutron = periodictable.H[1].mass, periodictable.n.mass
    binding = (protons * hydrogen + neutrons * neutron - isotope.mass) * constants.value(
        "atomic mass constant energy equivalent in MeV"
    )
    nucleus = f"{count(protons, 'proton')} and {count(neutrons, 'neutron')}"
    share = (
        f"makes up {isotope.abundance:.5g} % of natural {name}"
        if isotope.abundance > 0
        else "does not occur in nature in measurable amounts"
    )
    documents = [
        f"The nucleus of {title} holds {nucleus}, and the atom weighs {isotope.mass:.7g} u.",
        f"The isotope {title} with {nucleus} {share}.",
    ]
    exercises: list[Exercise] = [
        (f"How many protons and neutrons does {title} have?", "", f"{capital(title)} has {nucleus}."),
        (f"What is the atomic mass of {title}?", "", f"An atom of {title} weighs {isotope.mass:.7g} u; it {share}."),
        ("Which isotope has this nucleus?", nucleus, f"It is {title}, with a mass of {isotope.mass:.7g} u."),
        (f"Does {title} occur in nature?", "", f"{capital(title)} {share}."),
    ]
    if number > 1:
        exercises.append(
            (
                f"How strongly is the nucleus of {title} bound?",
                "",
                f"With {binding:.4g} MeV for its {number} nucleons, that is {binding / number:.3f} MeV each.",
            )
        )
    return fact(rng, f"the isotope {title}", documents, exercises)


def half_lives(rng: random.Random) -> Iterator[Fact]:
    """How fast the radioactive isotopes of NUBASE decay."""
    for isotope, (seconds, _, written) in nubase2020_halflife.items():
        element = periodictable.elements.symbol(isotope.partition("-")[0])
        left = 0.5 ** (86400 / seconds)
        day = (
            f"after one day {100 * left:.3g} % of it is left"
            if seconds > 3600
            else "after one day hardly any of it is left"
        )
        yield fact(
            rng,
            f"the decay of {isotope}",
            [f"The radioactive isotope {isotope} of {element.name} has a half-life of {written}; {day}."],
            [
                (
                    f"What is the half-life of {isotope}?",
                    "",
                    f"Half of the {element.name} nuclei decay within {written}.",
                ),
                (
                    f"How much of a sample of {isotope} remains after a day?",
                    "",
                    f"With a half-life of {written}, {day}.",
                ),
                ("How fast does this isotope decay?", isotope, f"Its half-life is {written}, so {day}."),
            ],
        )


def activations(rng: random.Random, elements: list[Any]) -> Iterator[Fact]:
    """What the isotopes become when they capture a thermal neutron."""
    for isotope in _all_isotopes(elements):
        for process in getattr(isotope, "neutron_activation", ()):
            if process.reaction != "act" or process.fast:
                continue
            product, section = process.daughter, f"{process.thermalXS:.4g} barn"
            yield fact(
                rng,
                f"neutron capture in {process.isotope}",
                [f"In a reactor {process.isotope} captures a thermal neutron ({section}) and becomes {product}."],
                [
                    (
                        f"What becomes of {process.isotope} when it captures a neutron?",
                        "",
                        f"It becomes {product} (cross section {section}), with a half-life of {process.Thalf_str}.",
                    ),
                    (
                        f"How is the isotope {product} made in a reactor?",
                        "",
                        f"By neutron capture in {process.isotope}; the cross section is {section}.",
                    ),
                ],
            )
