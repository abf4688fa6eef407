"""Science: elements, isotopes and compounds (periodictable), the CODATA constants (scipy.constants)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import periodictable
from periodictable.fasta import AMINO_ACID_CODES, LIPIDS, NUCLEIC_ACID_COMPONENTS
from scipy import constants

from versatune_plugin.quickstart.corpus import nuclei
from versatune_plugin.quickstart.corpus.compounds import COMPOUNDS
from versatune_plugin.quickstart.corpus.fact import Fact, capital, count, fact, listed, sample

LATTICES = {"BCC": "body-centred cubic", "FCC": "face-centred cubic", "HCP": "hexagonal close-packed"}


def facts(rng: random.Random) -> list[Fact]:
    """All facts of the domain, in a fixed order for a given state of ``rng``."""
    elements = [element for element in periodictable.elements if element.number > 0]
    aspects = (_identity, _matter, _radiation)
    return [
        *(entry for aspect in aspects for element in elements for entry in aspect(rng, element)),
        *sample(rng, nuclei.isotopes(rng, elements), 1500),
        *nuclei.half_lives(rng),
        *nuclei.activations(rng, elements),
        *_constants(rng),
        *_compounds(rng),
        *_residues(rng),
    ]


def _identity(rng: random.Random, element: Any) -> Iterator[Fact]:
    name, symbol = element.name, element.symbol
    yield fact(
        rng,
        f"the element {name}",
        [f"{capital(name)} is the chemical element with the symbol {symbol} and the atomic number {element.number}."],
        [
            (
                f"Which element has the atomic number {element.number}?",
                "",
                f"{capital(name)}, with the symbol {symbol}.",
            ),
            (
                f"What is the chemical symbol of {name}?",
                "",
                f"It is {symbol}; its atoms hold {count(element.number, 'proton')}.",
            ),
        ],
    )
    yield fact(
        rng,
        f"the atomic weight of {name}",
        [f"The standard atomic weight of {name} ({symbol}) is {element.mass:.6g} u."],
        [
            (f"How heavy is an atom of {name}?", "", f"On average {element.mass:.6g} atomic mass units."),
            (
                f"What is the mass of one mole of {name} atoms?",
                "",
                f"One mole of {symbol} atoms weighs {element.mass:.6g} grams.",
            ),
        ],
    )
    if stable := [number for number in element.isotopes if element[number].abundance > 0]:
        shares = listed([f"{symbol}-{number} ({element[number].abundance:.5g} %)" for number in stable], 10)
        yield fact(
            rng,
            f"the natural isotopes of {name}",
            [f"Natural {name} is made of {shares}.", f"The isotopes of {name} found in nature: {shares}."],
            [
                (f"Which isotopes make up natural {name}?", "", f"Natural {name} consists of {shares}."),
                (f"What is the isotopic composition of {name} in nature?", "", f"By number of atoms: {shares}."),
            ],
        )
    if element.ions:
        ions = listed([_charge(symbol, charge) for charge in element.ions], 9)
        yield fact(
            rng,
            f"the ions of {name}",
            [f"{capital(name)} occurs in the ions {ions}."],
            [
                (f"Which ions does {name} form?", "", f"Known ions of {name} are {ions}."),
                (
                    f"List the oxidation states of {name}.",
                    "",
                    f"They are {listed([f'{charge:+d}' for charge in element.ions], 9)}.",
                ),
            ],
        )


def _matter(rng: random.Random, element: Any) -> Iterator[Fact]:
    name, symbol = element.name, element.symbol
    if element.density:
        litre = f"a litre of it weighs about {element.density:.3g} kilograms"
        yield fact(
            rng,
            f"the density of {name}",
            [f"The density of {name} is {element.density:.5g} g/cm^3; {litre}."],
            [
                (f"How dense is {name}?", "", f"Its density is {element.density:.5g} grams per cubic centimetre."),
                (f"How much does a litre of {name} weigh?", "", f"At {element.density:.5g} g/cm^3, {litre}."),
            ],
        )
    if structure := _known(element, "crystal_structure"):
        lattice = _lattice(structure)
        yield fact(
            rng,
            f"crystals of {name}",
            [f"Solid {name} crystallises in a {lattice}."],
            [
                (f"What is the crystal structure of {name}?", "", f"{capital(name)} forms a {lattice}."),
                (f"How are the atoms arranged in solid {name}?", "", f"The atoms of {symbol} sit in a {lattice}."),
            ],
        )
    if radius := _known(element, "covalent_radius"):
        yield fact(
            rng,
            f"the covalent radius of {name}",
            [f"The covalent radius of {name} is {radius:.3g} angstrom."],
            [
                (f"How large is the covalent radius of {name}?", "", f"It is {radius:.3g} angstrom."),
                (
                    f"Estimate the length of a single bond between two atoms of {name}.",
                    "",
                    f"Twice the covalent radius of {symbol}: about {2 * radius:.3g} angstrom.",
                ),
            ],
        )


def _radiation(rng: random.Random, element: Any) -> Iterator[Fact]:
    name = element.name
    if wavelength := _known(element, "K_alpha"):
        energy = constants.h * constants.c / (wavelength * constants.angstrom * constants.e)
        line = f"{wavelength:.5g} angstrom, an energy of {energy / 1000:.4g} keV"
        yield fact(
            rng,
            f"the X-rays of {name}",
            [f"The K alpha X-ray line of {name} has a wavelength of {line}."],
            [
                (f"At which wavelength does {name} emit its K alpha line?", "", f"At {line}."),
                (f"What is the photon energy of the K alpha line of {name}?", "", f"The line lies at {line}."),
            ],
        )
    if element.neutron.has_sld():
        length, absorbed = element.neutron.b_c, element.neutron.absorption
        yield fact(
            rng,
            f"how {name} scatters neutrons",
            [f"Neutrons scatter from {name} with a length of {length:.4g} fm; it absorbs {absorbed:.4g} barn."],
            [
                (f"How does {name} scatter neutrons?", "", f"Its coherent scattering length is {length:.4g} fm."),
                (
                    f"Does {name} absorb thermal neutrons strongly?",
                    "",
                    f"{'Yes' if absorbed > 100 else 'No'}, its absorption cross section is {absorbed:.4g} barn.",
                ),
            ],
        )


def _known(element: Any, attribute: str) -> Any:
    """A property that periodictable sets only on the elements for which it was measured."""
    return getattr(element, attribute, None)


def _constants(rng: random.Random) -> Iterator[Fact]:
    # `find` names the current CODATA set; the dictionary alone also keeps what older sets called otherwise.
    for name in constants.find():
        value, unit, uncertainty = constants.physical_constants[name]
        figure = f"{value:.9g} {unit}".strip()
        doubt = (
            f"with a standard uncertainty of {uncertainty:.2g} {unit}".strip() if uncertainty else "exact by definition"
        )
        yield fact(
            rng,
            f"the {name}",
            [f"The CODATA value of the {name} is {figure}, {doubt}.", f"Constant: {name} = {figure}, {doubt}."],
            [
                (f"What is the value of the {name}?", "", f"The {name} is {figure}."),
                (f"How precisely is the {name} known?", "", f"Its value is {figure}, {doubt}."),
                ("Give the value and unit of this physical constant.", name, f"{capital(name)} = {figure}, {doubt}."),
            ],
        )


def _compounds(rng: random.Random) -> Iterator[Fact]:
    for name, written in COMPOUNDS.items():
        formula = periodictable.formula(written)
        counts = listed([f"{count} {atom.name}" for atom, count in formula.atoms.items()])
        shares = listed([f"{100 * share:.1f} % {atom.name}" for atom, share in formula.mass_fraction.items()])
        moles = rng.choice((0.1, 0.25, 0.5, 2, 3, 5, 10))
        weight = moles * formula.mass
        yield fact(
            rng,
            f"the formula of {name}",
            [f"{capital(name)} has the formula {written}: its unit holds {counts} atoms."],
            [
                (f"What is the chemical formula of {name}?", "", f"It is {written}, that is {counts} atoms."),
                ("Name the compound with this formula.", written, f"{written} is {name}."),
            ],
        )
        yield fact(
            rng,
            f"the molar mass of {name}",
            [f"The molar mass of {name} ({written}) is {formula.mass:.5g} g/mol; {moles} mol weigh {weight:.5g} g."],
            [
                (
                    f"What is the molar mass of {name}?",
                    "",
                    f"{formula.mass:.5g} grams per mole, from the formula {written}.",
                ),
                (
                    f"How many grams are {moles} mol of {name}?",
                    "",
                    f"{moles} mol x {formula.mass:.5g} g/mol = {weight:.5g} g.",
                ),
            ],
        )
        yield fact(
            rng,
            f"the composition of {name}",
            [f"By mass {name} is {shares}.", f"The mass fractions in {written} are {shares}."],
            [
                (f"Which elements is {name} made of, by mass?", "", f"By mass it is {shares}."),
                ("Compute the mass fractions of this compound.", written, f"For {written} ({name}): {shares}."),
            ],
        )


def _residues(rng: random.Random) -> Iterator[Fact]:
    for kind, table in (
        ("amino acid residue", AMINO_ACID_CODES),
        ("nucleic acid component", NUCLEIC_ACID_COMPONENTS),
        ("lipid or part of a lipid", LIPIDS),
    ):
        for code, molecule in table.items():
            mass = f"the formula {molecule.natural_formula} and a mass of {molecule.mass:.5g} u"
            text = f"{molecule.name} (written {code}) has {mass}"
            yield fact(
                rng,
                molecule.name,
                [f"As {kind}, {text}."],
                [
                    (f"What are the formula and the mass of {molecule.name} as {kind}?", "", f"{capital(text)}."),
                    (
                        f"How much volume does {molecule.name} take up in a molecule?",
                        "",
                        f"About {molecule.cell_volume:.4g} cubic angstrom; {text}.",
                    ),
                ],
            )


def _lattice(structure: dict[str, Any]) -> str:
    symmetry = LATTICES.get(structure["symmetry"], structure["symmetry"])
    sizes = [
        f"{key} = {value:.4g} angstrom"
        for key, value in structure.items()
        if key in "abcd" and isinstance(value, float)
    ]
    return f"{symmetry} structure" + (f" with {listed(sizes)}" if sizes else "")


def _charge(symbol: str, charge: int) -> str:
    return f"{symbol}{abs(charge) if abs(charge) > 1 else ''}{'+' if charge > 0 else '-'}"
