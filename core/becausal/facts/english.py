"""English words that no register of locales has: hedges, limits, rules, short units, and words that say little.

Another language is another module of this form, named in `becausal.facts.language.WORDS`.
"""

from __future__ import annotations

from becausal.facts.words import Words

__all__ = ["WORDS"]


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEGATIONS = "not isn't wasn't aren't n't neither nor"

WORDS = Words(
    month_first=True,
    currencies={
        "dollar": "USD", "dollars": "USD", "bucks": "USD", "us dollars": "USD", "yen": "JPY", "yuan": "CNY",
        "rupees": "INR", "pounds sterling": "GBP", "pound sterling": "GBP", "quid": "GBP",
    },
    hundredths={"cents": "USD", "cent": "USD", "pence": "GBP"},
    units={
        "h": "duration-hour", "hrs": "duration-hour", "hours'": "duration-hour", "mins": "duration-minute",
        "s": "duration-second", "secs": "duration-second", "sec": "duration-second", "d": "duration-day",
        "nights": "duration-day", "night": "duration-day", "wk": "duration-week",
        "yrs": "duration-year", "yr": "duration-year", "msec": "duration-millisecond",
        "sqm": "area-square-meter", "m2": "area-square-meter", "km2": "area-square-kilometer",
        "sq ft": "area-square-foot",
        "kph": "speed-kilometer-per-hour", "kmh": "speed-kilometer-per-hour", "kgs": "mass-kilogram",
        "lbs": "mass-pound",
        "metres": "length-meter", "metre": "length-meter", "kilometres": "length-kilometer",
        "kilometre": "length-kilometer", "centimetres": "length-centimeter", "litres": "volume-liter",
        "litre": "volume-liter", "tonnes": "mass-tonne", "tonne": "mass-tonne", "°": "temperature-celsius",
        "working days": "workday", "working day": "workday", "business days": "workday",
        "business day": "workday", "degrees c": "temperature-celsius", "degrees f": "temperature-fahrenheit",
    },
    no_units=_set("in to a as at or c pt day's b"),
    scales={
        "k": 3, "thousand": 3, "mn": 6, "mio": 6, "million": 6, "millions": 6, "bn": 9, "billion": 9, "tn": 12,
        "trillion": 12,
    },
    glued_scales={"k": 3, "K": 3, "M": 6, "mn": 6, "mm": 6, "m": 6, "B": 9, "bn": 9, "b": 9, "T": 12, "tn": 12},
    numerals={
        "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
        "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
        "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
        "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
    },
    hundred=_set("hundred"),
    never_a_number_alone=_set("one zero"),
    ordinal_endings=_set("st nd rd th"),
    month_words={"sept": 9},
    doubtful_months=_set("may march mar"),
    relative_days=_set("today tomorrow yesterday tonight"),
    half_days={"am": 0, "a.m": 0, "pm": 12, "p.m": 12},
    percent=("%", "percent", "per cent", "pct"),
    range_words=_set("- – — to and"),
    around=(
        "about", "approximately", "approx .", "approx", "around", "roughly", "circa", "ca .", "c .", "nearly", "almost",
        "some", "more or less", "in the region of", "~", "≈", "an estimated", "estimated at", "or so",
    ),
    unsure=(
        "maybe", "perhaps", "possibly", "probably", "likely", "presumably", "i think", "i believe", "i guess",
        "we think", "we believe", "might", "may be", "could be", "seems", "seemingly", "appears to", "apparently",
        "not sure", "unsure", "uncertain", "unclear", "unconfirmed", "unverified", "as far as i know", "if i remember",
        "allegedly", "reportedly", "supposedly", "tentatively", "provisional", "preliminary", "to be confirmed",
        "estimated", "expected to", "should be",
    ),
    unsure_of_one=_set("estimated provisional preliminary unconfirmed unverified tentatively"),
    at_most=(
        "at most", "at the most", "no more than", "not more than", "not exceed", "not exceeding", "not to exceed",
        "up to", "maximum", "maximum of", "a maximum of", "max", "max .", "max of", "no later than", "not later than",
        "within", "under", "below", "less than", "fewer than", "lower than", "smaller than", "cheaper than",
        "limited to", "capped at", "limit of", "a limit of", "cap of", "a cap of", "not over", "not above",
        "shorter than",         "<", "< =", "≤",
    ),
    at_most_dates=("by", "before", "until", "till", "due by", "due on", "due", "no later than", "deadline",
                   "deadline :"),
    at_least=(
        "at least", "no less than", "not less than", "no fewer than", "not fewer than", "minimum", "minimum of",
        "a minimum of", "min", "min .", "over", "above", "more than", "greater than", "higher than", "exceeding",
        "exceeds", "exceed", "longer than", "in excess of", "not below", "not under", ">", "> =", "≥", "upwards of",
    ),
    at_least_dates=("after", "not before", "no earlier than"),
    at_most_after=("or less", "or fewer", "or lower", "or below", "or earlier", "or under", "max", "maximum", "at most",
                   "or sooner", "tops"),
    at_least_after=("or more", "or higher", "or above", "or over", "or later", "minimum", "and above", "and up",
                    "at least"),
    rules={
        "must": ("must", "shall", "has to", "have to", "need to", "needs to", "required", "mandatory", "is required to",
                 "are required to", "make sure", "ensure", "always"),
        "not": (
            "must not", "must never", "should never", "may never", "must be avoided", "mustn't", "shall not", "do not",
            "don't", "does not", "doesn't", "never", "cannot", "can't", "can not", "no", "not", "without", "prohibited",
            "forbidden", "not allowed", "is not", "isn't", "are not", "aren't", "was not", "wasn't", "were not",
            "weren't", "did not", "didn't", "will not", "won't", "should not", "shouldn't", "may not", "avoid",
            "refrain from", "unable to", "not able to", "impossible to", "not possible", "under no circumstances",
        ),
        "only": ("only", "exclusively", "solely", "nothing but", "no other than"),
        "except": ("except", "except for", "excluding", "unless", "other than", "apart from", "with the exception of",
                   "but not"),
    },
    no_rules=("not only", "no longer", "no doubt", "no problem", "not sure", "no worries", "no one", "no ."),
    deny=frozenset(_NEGATIONS.split()),
    id_nouns=_set(
        "order ticket invoice case customer account id ref reference po sku user issue pr request booking "
        "reservation tracking serial contract policy transaction payment shipment"
    ),
    id_links=_set("# : no . number nr id is"),
    opposites=tuple(
        (one, other)
        for row in (
            "approve reject", "approve deny", "approved rejected", "approved denied", "approved declined",
            "accept reject", "accepted rejected", "accept decline", "accepted declined", "allow forbid",
            "allowed forbidden", "allow deny", "grant deny", "granted denied", "yes no", "true false",
            "increase decrease", "increased decreased", "increases decreases", "rise fall", "rose fell", "up down",
            "higher lower", "high low", "more less", "buy sell", "pass fail", "passed failed", "success failure",
            "succeeded failed", "enable disable", "enabled disabled", "include exclude", "included excluded",
            "including excluding", "open closed", "start stop", "started stopped", "before after", "above below",
            "always never", "all none", "safe dangerous", "safe unsafe", "profit loss", "gain loss", "paid unpaid",
            "positive negative", "with without", "first last", "urgent optional", "mandatory optional",
            "required optional", "public private", "confirmed cancelled", "keep delete", "keep remove", "add remove",
            "won lost", "hot cold", "left right", "minimum maximum", "earliest latest", "buyer seller", "debit credit",
        )
        for one, other in [tuple(row.split())]
    ),
    denying=("un", "in", "im", "dis", "non", "not"),
    endings=("'s", "ings", "ing", "ies", "ed", "es", "s", "e", "y"),
    abbreviations=_set(
        "mr mrs ms dr prof st no nr vs approx ca inc ltd co corp fig e g i etc est dept jan feb mar apr jun "
        "jul aug sep sept oct nov dec"
    ),
    boundary_words=_set("but however whereas although"),
    joining_words=_set("and or while because since so which who"),
    stop=_set(
        "mr mrs ms dr prof a an the this that these those it its he she they them we us you i me my your our "
        "their his her and or but if then than so as at by for from in into of off on onto out over to up "
        "with within without about after before between during through under above below is are was were be "
        "been being am do does did done have has had having will would can could shall should may might must "
        "not no nor only just also too very more most less least much many few some any all each every other "
        "another such same own both either neither here there where when why how what which who whom whose "
        "because while until since again once s t re ll ve d m please per via etc let lets get got make made "
        "new yes ok hello hi dear thanks note however therefore thus now still yet even ever"
    ),
)  # fmt: skip
