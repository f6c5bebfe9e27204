"""Spells out what a model without a front end cannot read: numbers, currency, abbreviations.

eSpeak and OpenJTalk read numbers themselves; VITS and MMS models know letters only.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from engines.base import StudioError
from engines.tts.text import base_language

ISO_639_3 = {
    "amh": "am", "ara": "ar", "azj": "az", "ben": "bn", "cat": "ca", "ces": "cs", "cym": "cy",
    "dan": "da", "deu": "de", "eng": "en", "epo": "eo", "spa": "es", "fas": "fa", "fin": "fi",
    "fra": "fr", "heb": "he", "hun": "hu", "ind": "id", "isl": "is", "ita": "it", "jpn": "ja",
    "kan": "kn", "kor": "ko", "kaz": "kz", "kk": "kz", "lit": "lt", "lav": "lv", "nld": "nl",
    "nob": "no", "nb": "no", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru", "slk": "sk",
    "slv": "sl", "srp": "sr", "swe": "sv", "tel": "te", "tgk": "tg", "tha": "th", "tur": "tr",
    "ukr": "uk", "vie": "vi", "che": "ce", "bel": "be",
}  # fmt: skip
"""ISO 639-3 (and 639-1, where num2words differs) to the code that num2words uses."""

_ABBREVIATIONS = {
    "en": {
        "Mr.": "Mister", "Mrs.": "Missus", "Ms.": "Miz", "Dr.": "Doctor", "Prof.": "Professor",
        "St.": "Saint", "Jr.": "Junior", "Sr.": "Senior", "etc.": "et cetera", "vs.": "versus",
        "e.g.": "for example", "i.e.": "that is", "approx.": "approximately", "No.": "number",
        "a.m.": "a m", "p.m.": "p m", "U.S.A.": "U S A", "U.S.": "U S", "U.K.": "U K",
        "Gen.": "General", "Capt.": "Captain", "Sgt.": "Sergeant", "Lt.": "Lieutenant",
        "Col.": "Colonel", "Rev.": "Reverend", "Hon.": "Honourable", "Mt.": "Mount",
        "Fig.": "figure", "Inc.": "Incorporated", "Ltd.": "Limited", "Co.": "Company",
    },
    "de": {
        "z.B.": "zum Beispiel", "z. B.": "zum Beispiel", "d.h.": "das heißt",
        "usw.": "und so weiter",
        "bzw.": "beziehungsweise", "Dr.": "Doktor", "Prof.": "Professor", "Nr.": "Nummer",
        "ca.": "circa", "Fr.": "Frau", "Hr.": "Herr", "u.a.": "unter anderem",
        "evtl.": "eventuell",
    },
    "fr": {"M.": "Monsieur", "Mme": "Madame", "Mlle": "Mademoiselle", "Dr": "Docteur",
           "etc.": "et cetera", "p. ex.": "par exemple"},
    "es": {"Sr.": "Señor", "Sra.": "Señora", "Srta.": "Señorita", "Dr.": "Doctor",
           "Dra.": "Doctora", "etc.": "etcétera", "p. ej.": "por ejemplo"},
    "pt": {"Sr.": "Senhor", "Sra.": "Senhora", "Dr.": "Doutor", "Dra.": "Doutora",
           "etc.": "et cetera"},
    "it": {"Sig.": "Signor", "Sig.ra": "Signora", "Dott.": "Dottor", "ecc.": "eccetera"},
    "nl": {"dhr.": "de heer", "mevr.": "mevrouw", "bijv.": "bijvoorbeeld", "enz.": "enzovoort"},
}  # fmt: skip

_SYMBOLS = {
    "en": {"%": "percent", "&": "and", "@": "at", "+": "plus", "=": "equals", "#": "number",
           "°": "degrees"},
    "de": {"%": "Prozent", "&": "und", "@": "at", "+": "plus", "=": "gleich", "°": "Grad"},
    "fr": {"%": "pour cent", "&": "et", "@": "arobase", "+": "plus", "=": "égale", "°": "degrés"},
    "es": {"%": "por ciento", "&": "y", "@": "arroba", "+": "más", "=": "igual a", "°": "grados"},
    "pt": {"%": "por cento", "&": "e", "@": "arroba", "+": "mais", "=": "igual a", "°": "graus"},
    "it": {"%": "per cento", "&": "e", "@": "chiocciola", "+": "più", "=": "uguale a"},
    "nl": {"%": "procent", "&": "en", "@": "at", "+": "plus", "=": "is gelijk aan", "°": "graden"},
    "ru": {"%": "процентов", "&": "и", "+": "плюс", "=": "равно"},
    "pl": {"%": "procent", "&": "i", "+": "plus", "=": "równa się"},
    "sv": {"%": "procent", "&": "och", "+": "plus", "=": "är lika med"},
    "tr": {"%": "yüzde", "&": "ve", "+": "artı", "=": "eşittir"},
}  # fmt: skip

_CURRENCIES = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR"}
_DECIMAL_POINT = {"en", "he", "th", "ja", "ko", "zh", "hi", "bn", "te", "kn", "am"}
_SIGN = r"(?:(?<![\w-])-)?"
_NUMBER = r"\d{1,3}(?:[.,'\u00a0\u202f ]\d{3})+(?:[.,]\d+)?(?!\d)|\d+(?:[.,]\d+)*"
_MONEY = re.compile(rf"([$€£¥₹])\s?({_NUMBER})|({_NUMBER})\s?([$€£¥₹])")
_ORDINAL = re.compile(r"\b(\d+)(?:st|nd|rd|th)\b")
_CLOCK = re.compile(r"\b([01]?\d|2[0-3]):([0-5]\d)\b")
_CARDINAL = re.compile(rf"{_SIGN}(?:{_NUMBER})")


def expand_abbreviations(text: str, language: str) -> str:
    """Write abbreviations that end in a dot out, in the languages that we know some of.

    Capitals count: ``No.`` is a number, ``no.`` ends a sentence.
    """
    known = _ABBREVIATIONS.get(_code(language), {})
    for short in sorted(known, key=len, reverse=True):
        text = re.sub(rf"(?<![\w.]){re.escape(short)}(?!\w)", known[short], text)
    return text


def normalize(text: str, language: str) -> str:
    """``text`` with abbreviations, amounts of money, ordinals, times, numbers and symbols in words.

    Raises ``StudioError`` when there are numbers and num2words does not know the language.
    """
    code = _code(language)
    text = expand_abbreviations(text, language)
    if any(char.isdigit() for char in text):
        say = _speller(text, language)
        text = re.sub(r"(?<=\d)[-–](?=\d)", " ", text)
        text = _MONEY.sub(lambda match: f" {_money(match, code, say)} ", text)
        if code == "en":
            text = _CLOCK.sub(lambda match: _clock(match, say), text)
            text = _ORDINAL.sub(lambda match: say(int(match[1]), "ordinal"), text)
        text = _CARDINAL.sub(lambda match: f" {_cardinal(match[0], code, say)} ", text)
    for symbol, word in _SYMBOLS.get(code, {}).items():
        text = text.replace(symbol, f" {word} ")
    return re.sub(r"[^\S\n]+([,.;:!?])", r"\1", re.sub(r"[^\S\n]+", " ", text)).strip()


def _code(language: str) -> str:
    base = base_language(language)
    return ISO_639_3.get(base, base)


Speller = Callable[..., str]


def _speller(text: str, language: str) -> Speller:
    """``say(number, kind, **options)`` in ``language``; an error names what cannot be read."""
    import num2words

    code = _code(language)
    found = re.search(r"\d[\d.,:]*", text)
    example = found[0].rstrip(".,:") if found else "them"
    refusal = StudioError(
        f"Numbers cannot be read in this language ({language}): write “{example}” in words.", "text"
    )
    if code not in num2words.CONVERTER_CLASSES:
        raise refusal

    def say(number: float, kind: str = "cardinal", **options: object) -> str:
        try:
            words = num2words.num2words(number, lang=code, to=kind, **options)
        except (NotImplementedError, OverflowError, TypeError) as error:
            raise refusal from error
        return re.sub(r"(?<=\w)-(?=\w)", " ", words).replace(",", "")

    return say


def _money(match: re.Match[str], code: str, say: Speller) -> str:
    import num2words

    symbol, amount = match[1] or match[4], _value(match[2] or match[3], code)
    currency = _CURRENCIES[symbol]
    forms = num2words.CONVERTER_CLASSES[code].CURRENCY_FORMS.get(currency)
    if forms is None or amount != int(amount):
        return say(float(amount), "currency", currency=currency)
    names = [name.removesuffix(" sterling") for name in forms[0]]
    return f"{say(int(amount))} {names[0] if amount == 1 else names[min(1, len(names) - 1)]}"


def _clock(match: re.Match[str], say: Speller) -> str:
    hour, minute = int(match[1]), int(match[2])
    if minute == 0:
        return f"{say(hour)} o'clock" if hour <= 12 else f"{say(hour)} hundred"
    return f"{say(hour)} {'oh ' if minute < 10 else ''}{say(minute)}"


def _cardinal(number: str, code: str, say: Speller) -> str:
    if code == "en" and re.fullmatch(r"1[1-9]\d\d|20[1-9]\d", number):
        return say(int(number), "year")
    if re.fullmatch(r"0\d+", number):
        return " ".join(say(int(digit)) for digit in number)
    return say(_value(number, code))


def _value(number: str, code: str) -> float | int:
    """The value of a written number; ``1,234.5`` in English is ``1.234,5`` in German."""
    point, group = (".", ",") if code in _DECIMAL_POINT else (",", ".")
    number = re.sub("['\u00a0\u202f ]", "", number)
    sign, digits = (-1, number[1:]) if number.startswith("-") else (1, number)
    if re.fullmatch(rf"\d{{1,3}}(?:\{group}\d{{3}})+(?:\{point}\d+)?", digits):
        digits = digits.replace(group, "")
    parts = re.split("[.,]", digits)
    if len(parts) == 1:
        return sign * int(digits)
    return sign * float(f"{''.join(parts[:-1])}.{parts[-1]}")
