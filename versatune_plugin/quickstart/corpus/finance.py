"""Finance: currencies (iso4217, Babel's CLDR), banks and account numbers (schwifty), and interest worked out."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import date

from babel import Locale
from babel.core import get_global
from babel.numbers import format_currency, get_currency_name
from iso4217 import Currency
from schwifty import BIC, registry
from schwifty.domain import Component
from schwifty.exceptions import InvalidCountryCode, SchwiftyException

from versatune_plugin.quickstart.corpus.fact import Exercise, Fact, capital, fact, latin, listed, sample

ENGLISH = Locale("en")
PLACES = ("de_DE", "fr_FR", "en_GB", "en_US", "en_IN", "pt_BR", "es_ES", "sv_SE", "de_CH", "it_IT", "nl_NL", "pl_PL")


def facts(rng: random.Random) -> list[Fact]:
    """All facts of the domain, in a fixed order for a given state of ``rng``."""
    return [
        *_currencies(rng),
        *_money_of_places(rng),
        *_amounts(rng),
        *sample(rng, _banks(rng), 1900),
        *_account_numbers(rng),
        *_interest(rng),
    ]


def _currencies(rng: random.Random) -> Iterator[Fact]:
    for currency in sorted(Currency, key=lambda entry: entry.code):
        code, name = currency.code, currency.currency_name
        places = listed([country.title() for country in sorted(currency.country_names)])
        number = f"{currency.number:03d}"
        yield fact(
            rng,
            f"the currency {name}",
            [f"{name} ({code}) is a currency of {places}.", f"The currency code {code} means {name}, of {places}."],
            [
                (
                    f"What does the currency code {code} mean?",
                    "",
                    f"{code} is the ISO 4217 code of {name}, used in {places}.",
                ),
                (
                    f"Where is the currency {name} legal tender or listed?",
                    "",
                    f"ISO 4217 lists {name} ({code}) for {places}.",
                ),
                ("Which currency is this?", code, f"It is {name}, of {places}."),
            ],
        )
        yield fact(
            rng,
            f"the codes of {name}",
            [f"In payment messages {name} is written {code} or, as a number, {number}."],
            [
                (f"What is the numeric ISO 4217 code of {name}?", "", f"The numeric code of {code} is {number}."),
                ("Which currency has this numeric code?", number, f"{number} is {name}, with the letters {code}."),
            ],
        )
        if currency.exponent is not None:
            unit = 10**currency.exponent
            parts = f"{unit} minor units" if unit > 1 else "no minor unit"
            amount = rng.randrange(1000, 10**6)
            yield fact(
                rng,
                f"the minor unit of {name}",
                [f"One unit of {name} has {parts}: prices in {code} carry {currency.exponent} decimals."],
                [
                    (
                        f"How many decimals does an amount in {code} have?",
                        "",
                        f"{currency.exponent}: {name} has {parts}.",
                    ),
                    (
                        f"A payment file gives {amount} minor units of {code}. How much is that?",
                        "",
                        f"{amount} / {unit} = {amount / unit:.{currency.exponent}f} {code}.",
                    ),
                ],
            )


def _money_of_places(rng: random.Random) -> Iterator[Fact]:
    used = defaultdict(list)
    for territory, periods in get_global("territory_currencies").items():
        place = ENGLISH.territories.get(territory)
        if place is None:
            continue
        spans = [
            f"{get_currency_name(code, locale='en')} ({code}) {span}"
            for code, start, end, tender in periods
            if tender and (span := _span(start, end))
        ]
        for code, start, end, _ in periods:
            used[code].append((place, start, end))
        if spans:
            yield fact(
                rng,
                f"the money of {place}",
                [f"The money of {place}: {listed(spans)}.", f"{place} has paid with {listed(spans)}."],
                [
                    (f"Which currencies has {place} had?", "", f"{capital(listed(spans))}."),
                    (f"Tell the monetary history of {place}.", "", f"In {place} one paid with {listed(spans)}."),
                ],
            )
    for code, entries in sorted(used.items()):
        name = get_currency_name(code, locale="en")
        place, start, end = rng.choice(entries)
        if not (span := _span(start, end)):
            continue
        documents = (
            [f"The {name} ({code}) was in use in {place} {span}."]
            if end
            else [f"The {name} ({code}) is in use in {place} {span}."]
        )
        yield fact(
            rng,
            f"the {name} in {place}",
            documents,
            [
                (
                    f"When was the {name} the money of {place}?",
                    "",
                    f"The {name} ({code}) has been used there {span}."
                    if not end
                    else f"The {name} ({code}) was used there {span}.",
                ),
                (
                    f"What is the currency {code}, and where is or was it used?",
                    "",
                    f"{code} is the {name}; {place} has it in its records {span}.",
                ),
            ],
        )


def _amounts(rng: random.Random) -> Iterator[Fact]:
    for code in sorted(entry.code for entry in Currency):
        name, plural = get_currency_name(code, locale="en"), get_currency_name(code, count=2, locale="en")
        symbol = ENGLISH.currency_symbols.get(code, code)
        place = rng.choice(PLACES)
        amount = rng.randrange(100, 10**7) / 100
        written = format_currency(amount, code, locale=place).replace("\xa0", " ").replace("\u202f", " ")
        where = Locale.parse(place).get_display_name("en")
        yield fact(
            rng,
            f"prices in {plural}",
            [f"In {where} a price of {amount} {plural} is written {written}."],
            [
                (
                    f"Write the amount of {amount} {code} as is usual in {where}.",
                    "",
                    f"{written}, that is {amount} {plural}.",
                ),
                (f"What sign stands for the {name} in English text?", "", f"The sign is {symbol}; the code is {code}."),
                ("Read this amount of money.", written, f"{amount} {plural}, written as in {where}."),
            ],
        )


def _banks(rng: random.Random) -> Iterator[Fact]:
    seen: set[str] = set()
    for bank in registry.get_all_banks():
        place = ENGLISH.territories.get(bank.country_code)
        name = " ".join(bank.name.split())
        if not bank.bic or name in seen or place is None or not latin(name) or len(name) > 60:
            continue
        seen.add(name)
        try:
            office = {"XXX": "the head office"}.get(BIC(bank.bic).branch_code or "XXX", f"the branch {bank.bic[8:]}")
        except SchwiftyException:
            continue
        exercises: list[Exercise] = [
            (f"What is the BIC of {name}?", "", f"The BIC of {name} in {place} is {bank.bic}."),
            ("Which bank receives a payment to this BIC?", bank.bic, f"{name}, {place}; the code names {office}."),
            (
                f"In which country is the bank {name} registered?",
                "",
                f"{name} is registered in {place} (BIC {bank.bic}).",
            ),
            (f"Which bank code does {name} have?", "", f"In {place} {name} has the bank code {bank.bank_code}."),
        ]
        documents = [
            f"{name} is a bank in {place} with the BIC {bank.bic} and the bank code {bank.bank_code}.",
            f"Payments to {name}, {place}, carry the BIC {bank.bic} of {office}.",
        ]
        yield fact(rng, f"the bank {name}", documents, exercises)


def _account_numbers(rng: random.Random) -> Iterator[Fact]:
    for territory, place in sorted(ENGLISH.territories.items()):
        try:
            spec = registry.get_iban_spec(territory)
        except InvalidCountryCode:
            continue
        zone = "inside" if spec.in_sepa_zone else "outside"
        parts = listed(
            [
                f"{place_in.length} characters of {component.value.replace('_', ' ')}"
                for component in Component
                if (place_in := spec.positions[component]).length
            ]
        )
        yield fact(
            rng,
            f"account numbers of {place}",
            [f"An account number (IBAN) of {place} has {spec.iban_length} characters and starts with {territory}."],
            [
                (
                    f"How long is an IBAN of {place}?",
                    "",
                    f"It has {spec.iban_length} characters, beginning with {territory}.",
                ),
                (
                    f"With which letters does an IBAN of {place} begin?",
                    "",
                    f"With {territory}; it has {spec.iban_length} characters.",
                ),
            ],
        )
        if parts:
            yield fact(
                rng,
                f"the parts of an IBAN of {place}",
                [f"An IBAN of {place}, {zone} the SEPA zone, is made of {parts}."],
                [
                    (f"What is an IBAN of {place} made of?", "", f"After the check digits: {parts}."),
                    (
                        f"Does {place} take part in the single euro payments area?",
                        "",
                        f"{place} is {zone} the SEPA zone.",
                    ),
                ],
            )


def _interest(rng: random.Random) -> Iterator[Fact]:
    """Worked sums: nothing is looked up here, the amounts are drawn and the arithmetic is done."""
    for _ in range(140):
        principal, rate, years = rng.randrange(1, 200) * 500, rng.randrange(2, 60) / 4, rng.randrange(2, 31)
        code = rng.choice(("EUR", "USD", "GBP", "CHF", "CAD", "AUD"))
        grown = principal * (1 + rate / 100) ** years
        yield fact(
            rng,
            f"a deposit of {principal} {code} for {years} years at {rate} %",
            [f"{principal} {code} at {rate} % interest a year grow to {grown:.2f} {code} in {years} years."],
            [
                (
                    f"To what sum do {principal} {code} grow in {years} years at {rate} % compound interest?",
                    "",
                    f"{principal} x (1 + {rate / 100:g})^{years} = {grown:.2f} {code}.",
                ),
            ],
        )
        month = rate / 1200
        instalment = principal * month / (1 - (1 + month) ** (-12 * years))
        yield fact(
            rng,
            f"a loan of {principal} {code} for {years} years at {rate} %",
            [f"A loan of {principal} {code} over {years} years at {rate} % costs {instalment:.2f} {code} a month."],
            [
                (
                    f"What is the monthly instalment of a loan of {principal} {code} at {rate} % over {years} years?",
                    "",
                    f"The annuity is {instalment:.2f} {code} a month, {12 * years * instalment:.2f} {code} in all.",
                ),
            ],
        )
        coupon, market = rng.randrange(2, 20) / 2, rng.randrange(2, 24) / 2
        price = (
            sum(coupon / (1 + market / 100) ** year for year in range(1, years + 1)) + 100 / (1 + market / 100) ** years
        )
        standing = "at par" if abs(price - 100) < 0.005 else "above par" if price > 100 else "below par"
        yield fact(
            rng,
            f"a bond with a {coupon} % coupon and {years} years left, at a yield of {market} %",
            [f"With a coupon of {coupon} % and {years} years to run a bond yields {market} % at {price:.2f}."],
            [
                (
                    f"What is a {coupon} % bond with {years} years to maturity worth at a yield of {market} %?",
                    "",
                    f"Its price is {price:.2f} per 100 of face value, {standing}.",
                ),
            ],
        )


def _span(start: date | tuple[int, int, int] | None, end: date | tuple[int, int, int] | None) -> str:
    years = [moment.year if isinstance(moment, date) else moment[0] for moment in (start, end) if moment]
    if start and end:
        return f"from {years[0]} to {years[1]}"
    return f"since {years[0]}" if start else f"until {years[0]}" if end else ""
