"""General knowledge: countries, regions, languages, scripts (pycountry); usages and clocks (Babel's CLDR, zoneinfo)."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pycountry
from babel import Locale
from babel.core import get_global
from babel.languages import get_territory_language_info
from babel.localedata import locale_identifiers

from versatune_plugin.quickstart.corpus.fact import Exercise, Fact, article, capital, fact, latin, listed, sample

ENGLISH = Locale("en")
SCOPES = {"I": "an individual language", "M": "a macrolanguage", "S": "a special code"}
TYPES = {"L": "living", "E": "extinct", "A": "ancient", "H": "historic", "C": "constructed", "S": "special"}
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def facts(rng: random.Random) -> list[Fact]:
    """All facts of the domain, in a fixed order for a given state of ``rng``."""
    return [
        *_countries(rng),
        *_former_countries(rng),
        *sample(rng, _regions(rng), 1500),
        *sample(rng, _languages(rng), 700),
        *_scripts(rng),
        *_spoken(rng),
        *_calendar_words(rng),
        *_clocks(rng),
        *_units(rng),
    ]


def _countries(rng: random.Random) -> Iterator[Fact]:
    divisions = defaultdict(list)
    for division in pycountry.subdivisions:
        divisions[division.country_code].append(division)
    for country in pycountry.countries:
        name = getattr(country, "common_name", country.name)
        formal = getattr(country, "official_name", country.name)
        yield fact(
            rng,
            f"the codes of {name}",
            [f"{name} has the country codes {country.alpha_2} and {country.alpha_3}; its flag is {country.flag}."],
            [
                (
                    f"What are the ISO country codes of {name}?",
                    "",
                    f"They are {country.alpha_2}, {country.alpha_3} and the number {country.numeric}.",
                ),
                (
                    "Which country has this code?",
                    country.alpha_3,
                    f"{country.alpha_3} is {name}; in two letters {country.alpha_2}.",
                ),
            ],
        )
        if formal != name:
            yield fact(
                rng,
                f"the name of {name}",
                [f"The official name of {name} is {formal}."],
                [
                    (f"What is the official name of {name}?", "", f"Officially it is called {formal}."),
                    ("Give the short name of this country.", formal, f"It is usually called {name}."),
                ],
            )
        if own := divisions[country.alpha_2]:
            kinds = defaultdict(list)
            for division in own:
                kinds[division.type.lower()].append(division.name)
            kind, names = rng.choice(sorted(kinds.items()))
            shown = rng.sample(sorted(names), min(4, len(names)))
            yield fact(
                rng,
                f"the regions of {name}",
                [f"{name} is divided into {len(own)} parts, among them the {kind} {shown[0]}."],
                [
                    (
                        f"Into how many regions is {name} divided?",
                        "",
                        f"ISO 3166-2 lists {len(own)}: {listed(sorted(kinds), 8)}.",
                    ),
                    (f"Name some places in {name} of the kind {kind}.", "", f"{capital(listed(shown))} in {name}."),
                ],
            )


def _former_countries(rng: random.Random) -> Iterator[Fact]:
    for country in pycountry.historic_countries:
        gone = getattr(country, "withdrawal_date", "")[:4]
        yield fact(
            rng,
            country.name,
            [f"{country.name} is a former country; its code {country.alpha_4} was withdrawn in {gone}."],
            [
                (f"Until when was {country.name} in the list of countries?", "", f"Its entry was withdrawn in {gone}."),
            ],
        )


def _regions(rng: random.Random) -> Iterator[Fact]:
    siblings = defaultdict(list)
    for region in pycountry.subdivisions:
        siblings[region.country_code, region.type].append(region.name.removesuffix(" †"))
    for region in pycountry.subdivisions:
        if not latin(region.name):
            continue
        country, kind = region.country.name, region.type.lower()
        others = [name for name in siblings[region.country_code, region.type] if name != region.name]
        beside = f", beside {listed(rng.sample(others, min(3, len(others))))}" if others else ""
        documents = [
            f"{region.name} is {article(kind)} of {country}, with the code {region.code}{beside}.",
            f"One of the regions of {country} is {region.name}, {article(kind)}{beside}.",
        ]
        exercises: list[Exercise] = [
            (f"In which country is {region.name}?", "", f"{region.name} is {article(kind)} of {country}."),
            (
                f"What is {region.name}?",
                "",
                f"{capital(article(kind))} of {country} with the code {region.code}{beside}.",
            ),
            ("Which place has this region code?", region.code, f"{region.name}, {article(kind)} of {country}."),
        ]
        if region.parent is not None:
            documents.append(f"{region.name} lies in {region.parent.name}, {country}; it is {article(kind)}{beside}.")
            exercises.append(
                (
                    f"Of which larger region is {region.name} a part?",
                    "",
                    f"It is a part of {region.parent.name} in {country}.",
                )
            )
        yield fact(rng, region.name, documents, exercises)


def _languages(rng: random.Random) -> Iterator[Fact]:
    for language in pycountry.languages:
        scope, kind = SCOPES[language.scope], TYPES[language.type]
        name = language.name
        yield fact(
            rng,
            f"the language {name}",
            [
                f"The language {name} ({language.alpha_3}) is {scope}; it is {kind}.",
                f"{name} is {article(kind)} language with the code {language.alpha_3}.",
            ],
            [
                (f"Is the language {name} still alive?", "", f"{name} is listed as {article(kind)} language."),
                (
                    f"Which three-letter code does the language {name} have?",
                    "",
                    f"Its code is {language.alpha_3}; it is {scope}.",
                ),
                (
                    "Which language has this ISO 639-3 code?",
                    language.alpha_3,
                    f"{language.alpha_3} is {name}, {article(kind)} language.",
                ),
            ],
        )


def _scripts(rng: random.Random) -> Iterator[Fact]:
    for script in pycountry.scripts:
        yield fact(
            rng,
            f"the writing system {script.name}",
            [f"The writing system {script.name} has the code {script.alpha_4}."],
            [
                (
                    f"What is the ISO 15924 code of the script {script.name}?",
                    "",
                    f"The script is coded {script.alpha_4}, number {script.numeric}.",
                ),
                (
                    "Which writing system has this code?",
                    script.alpha_4,
                    f"{script.alpha_4} is the script {script.name}.",
                ),
            ],
        )


def _spoken(rng: random.Random) -> Iterator[Fact]:
    for territory, place in sorted(ENGLISH.territories.items()):
        info = get_territory_language_info(territory) if territory.isalpha() else {}
        known = [(ENGLISH.languages[code], entry) for code, entry in info.items() if code in ENGLISH.languages]
        if not known:
            continue
        shares = listed([f"{name} ({entry['population_percent']:.3g} %)" for name, entry in known], 5)
        yield fact(
            rng,
            f"the languages of {place}",
            [f"People in {place} speak {shares}.", f"The languages of {place} are {shares}."],
            [
                (f"Which languages are spoken in {place}?", "", f"In {place} people speak {shares} of the population."),
                (
                    f"How many people in {place} speak {known[0][0]}?",
                    "",
                    f"About {known[0][1]['population_percent']:.3g} % of them.",
                ),
            ],
        )
        if official := [name for name, entry in known if entry["official_status"] == "official"]:
            yield fact(
                rng,
                f"the official languages of {place}",
                [f"Official in {place}: {listed(official)}."],
                [
                    (f"What is the official language of {place}?", "", f"Official in {place}: {listed(official)}."),
                ],
            )


def _calendar_words(rng: random.Random) -> Iterator[Fact]:
    # Babel reads a file for each language, so only some of the three hundred.
    for code in rng.sample(sorted(set(ENGLISH.languages) & set(locale_identifiers())), 150):
        language, locale = ENGLISH.languages[code], Locale(code)
        days, months = locale.days["format"]["wide"], locale.months["format"]["wide"]
        if code == "en" or not latin("".join(days.values()) + "".join(months.values())) or months[1].startswith("M0"):
            continue
        week = listed([days[number] for number in range(7)], 7)
        yield fact(
            rng,
            f"the days of the week in {language}",
            [f"The days of the week in {language}: {week}."],
            [
                (f"What are the days of the week in {language}?", "", f"From Monday to Sunday: {week}."),
                (
                    f"What is {DAYS[day := rng.randrange(7)]} in {language}?",
                    "",
                    f"In {language} it is called {days[day]}.",
                ),
            ],
        )
        year = listed([months[number] for number in range(1, 13)], 12)
        yield fact(
            rng,
            f"the months in {language}",
            [f"The months of the year in {language}: {year}."],
            [
                (f"Name the months of the year in {language}.", "", f"From January to December: {year}."),
                (
                    f"How do you say {ENGLISH.months['format']['wide'][month := rng.randrange(1, 13)]} in {language}?",
                    "",
                    f"In {language} the month is called {months[month]}.",
                ),
            ],
        )


def _clocks(rng: random.Random) -> Iterator[Fact]:
    for territory, zones in sorted(get_global("territory_zones").items()):
        place = ENGLISH.territories.get(territory)
        for zone in zones:
            if place is None or "/" not in zone or zone.startswith("Etc/"):
                continue
            city = zone.rpartition("/")[2].replace("_", " ")
            winter, summer = (
                datetime(2024, month, 15, tzinfo=UTC).astimezone(ZoneInfo(zone)).strftime("%z") for month in (1, 7)
            )
            shift = "the clocks stay the same all year" if winter == summer else f"in July they are at UTC{summer}"
            yield fact(
                rng,
                f"the clocks of {city}",
                [f"In January the clocks of {city}, {place}, are at UTC{winter}; {shift}."],
                [
                    (
                        f"What time zone is {city} in?",
                        "",
                        f"{city} ({place}) follows {zone}, in January UTC{winter}; {shift}.",
                    ),
                    (
                        f"Do people in {city}, {place}, change their clocks in summer?",
                        "",
                        f"In January they are at UTC{winter}; {shift}.",
                    ),
                ],
            )


def _units(rng: random.Random) -> Iterator[Fact]:
    for unit, names in sorted(ENGLISH.unit_display_names.items()):
        quantity, _, _ = unit.partition("-")
        yield fact(
            rng,
            f"the unit {names['long']}",
            [f"{capital(names['long'])} are a unit of {quantity}, in short {names['short']}."],
            [
                (
                    f"What do {names['long']} measure?",
                    "",
                    f"They measure {quantity}; the short form is {names['short']}.",
                ),
                (
                    "Which quantity is given in this unit?",
                    names["long"],
                    f"{capital(quantity)}; one writes {names['short']}.",
                ),
            ],
        )
