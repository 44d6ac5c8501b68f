"""Caption tokens as the COCO caption evaluation makes them: Penn Treebank words, lower-cased.

Source   observed behaviour of the tokeniser that pycocoevalcap 1.2 calls (Stanford's PTBTokenizer
         3.4.1, `-preserveLines -lowerCase`), re-made from what it answers to some 500,000 lines

The longest rule wins, the earlier one where two are as long. Known quirks, kept:
- brackets come out as `-lrb-`, after which the list of dropped punctuation does not know them;
- `!!` and `?!` stay, `!` and `?` go; `£` becomes `#`, and `€` becomes `$`;
- a word with a period before a comma, semicolon or colon keeps the period.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter

PUNCTUATION = "'' ' `` ` . ? ! , : - -- ... ;"
DROPPED = frozenset(PUNCTUATION.split())

LETTER = (  # no raised or enclosed digits, but accents and vowel signs
    r"(?:(?![²³¹¼-¾\u2070-\u209f\u2150-\u218f\u2460-\u24ff])[^\W\d_]"
    r"|[\u0300-\u036f\u0591-\u06ff\u0900-\u0e7f])"
)
PART = rf"(?:{LETTER}|\d|\u00ad)"  # of a word; soft hyphens go later
MARK = "['’]"  # apostrophes
LIKE = "['’‘‛`]"  # and what stands for one inside some words
DASH = r"[-‐‑]"
ABBREVIATED = """
    adj adm adv al ala alex apr ariz assn asst atty attys aug ave bancorp bhd bldg blvd brig bros
    calif capt cf cie cmdr co col colo comdr conn corp cos cpl ct dak dec dept det dr drs elec ens
    esq est etc ext feb fla fri ft ga gen gov govs hon inc ind insp intl invt jan jos jr jul jun
    kan kans ky lieut lt ltd maj mar md messrs mfg mich minn mlle mme mo mon mont mr mrs ms msgr mt
    mtg natl neb nev nov oct okla penn pfc ph ph.d plc ppte ppty pres prof profs pte ptes pty ptys
    pvt rd rep reps rev rt sen sens sep sept seq sfc sgt spc sq sr st ste supt supts sys tel tenn
    thu thurs treas tue tues univ va vs vt wed wis wisc wm wyo
"""
BEFORE_DIGITS = "art ca figs? nos? op pp prop"  # abbreviations there, words elsewhere
ABBREVIATION = "|".join(map(re.escape, sorted(ABBREVIATED.split(), key=len, reverse=True)))
NUMBER = r"\d*(?:[.:,]\d+)+|\d+"
CLITIC = r"(?:'(?:ll|re|ve|[smd])(?![a-z])|’(?:ll|re|ve|[smd]))"

# token in the first group; what follows it counts for the length, but stays for the next token
RULES = [
    re.compile(pattern, re.IGNORECASE | re.VERBOSE)
    for pattern in (
        rf"({PART}+){CLITIC}",  # it 's
        rf"({LETTER}+?) n{LIKE}t",  # is n't
        rf"(n{LIKE}t {LETTER}*)",
        rf"((?:can(?=not)|got(?=ta)|gon(?=na)|wan(?=na)|lem(?=me)|gim(?=me)))"
        rf"(?:not|ta|na|me)(?!{PART}|{DASH}{PART}|{CLITIC})",
        rf"({MARK}t)(?:is|was)(?!(?!n{LIKE}t){LETTER})",
        rf"({LETTER}{PART}*(?:[.!?]{LETTER}{PART}*)*)",  # a missing blank joins two sentences
        rf"((?:(?-i:[dlnoA-HJ-XZ]){LIKE}{LETTER}{PART}+|{PART}+)"
        rf"(?:{DASH}(?:[dlo]{LIKE})?{PART}+)*)",  # o'neil, t-shirt
        rf"({PART}+(?:[.,]{PART}+)*\.?(?:{DASH}{PART}+)+)",  # u.s.-based, 1,000-year
        r"([a-z0-9]+(?:-[a-z]+){0,2}(?:/[a-z0-9]+(?:-[a-z]+){0,2}){1,2})",  # black/white
        rf"({PART}+(?:_{PART}+)+)",
        rf"((?:{ABBREVIATION}|[a-z](?:\.[a-z])*)\.)",
        rf"((?:{'|'.join(BEFORE_DIGITS.split())})\.)[ ]?\d",
        rf"((?:{PART}+)\.)[,;:]",
        rf"({CLITIC})",
        rf"({MARK}n(?:{MARK}|(?!{PART})))",  # rock 'n' roll
        rf"({MARK}(?:em|cause|till?|[2-9]0s|\d\d(?!\S)))",
        rf"((?:ol|somethin|dunkin|[dlj]){MARK})",
        rf"(y'){LETTER}",
        rf"(y’{LETTER}+)",
        rf"((?:c|n|qu){MARK}est|c{MARK}mon|cap{MARK}n|s{MARK}mores|e{MARK}er)",
        rf"((?-i:{LETTER}+[aeiouyAEIOUY]{LIKE}[aeiouA-Z]{LETTER}*))",  # hawai'i
        rf"([-+]?(?:{NUMBER}))",
        r"(\d{1,2}[-/]\d{1,2}[-/]\d{2,4}|\d{4}[-/]\d{1,2}[-/]\d{1,2})",
        r"((?:\d{1,4}[- \xa0])?\d{1,4}[/⁄]\d{1,4})",
        r"((?:\(\d{2,3}\)[ \xa0]?|\+{0,2}(?:\d{2,4}[- \xa0])?\d{2,4}[- \xa0])"
        r"\d{3,4}[- \xa0]?\d{3,5})",  # telephone numbers
        r"((?:\+{0,2}\d{2,4}\.)?\d{2,4}\.\d{3,4}\.\d{3,5})",
        r"((?-i:[A-Z]{1,3})\$)",
        r"((?-i:[A-Z]+(?:&[A-Z]+)+))",
        r"(c\+\+|[cf]\#)",
        rf"(\#{LETTER}+|@[a-z_][a-z_0-9]*)",
        r"(https?://[^\s\"<>|()]+\.[^\s\"<>|()]*[^\s\"<>|.!?(){},-])",
        r"((?:www\.(?:[^\s\"<>|.!?(){},]+\.)+[a-z]{2,4}|(?:[^\s\"`'<>|.!?(){},\-_$]+\.)+"
        r"(?:com|net|org|edu))(?:/[^\s\"<>|()]+[^\s\"<>|.!?(){},-])?)",
        r"([a-z0-9][^\s\"<>|(){}\xa0@]*@(?:[^\s\"<>|(){}.\xa0]+\.)*[^\s\"<>|(){}\[\].,;:\xa0]+)",
        rf"((?-i:[<>]?[:;=][-o*']?[()DPdpO\\{{@|\[\]]))(?!{PART})",  # :-)
        r"(\(\^[_.]\^\)|\([-x]_[-x]\)|\^_\^|-_-|=_=|>_<)",
        r"(</?[a-z][\w:.-]*(?:[ ]+[a-z][\w:.-]*(?:=\"[^\"<>]*\")?)*[ ]*/?>|<[!?][a-z-][^<>]*>)",
        r"(&(?:amp|lt|gt|quot);|&\#\d+;)",
        r"(\.{3}|\.[ ]\.[ ]\.|[!?]+|\*+|_+|[-–—―‒−]{2,}|<<|>>|``|'')",
        r"(\S)",
    )
]
# what is written for a token, or for a character of it
WRITTEN = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
    "&amp;": "&", "&lt;": "<", "&gt;": ">", "…": "...", "½": "1/2", "¼": "1/4", "¾": "3/4",
    "⅓": "1/3", "⅔": "2/3", "€": "$", "¤": "$", "₠": "$", "£": "#", "¢": "cents",
}  # fmt: skip
QUOTES = frozenset(["&quot;", *"'\"`’‘‛“”«»‹›–—―‒‐"])
NOTHING = re.compile(  # no token at all: emoji, controls, and some marks
    r"[\U00010000-\U0010ffff\x00-\x1f\x7f-\x9f\u200b-\u200f\u20e3\ufe00-\ufe0f\ufeff\ufffd‥〝〞「」〜₩₹⅐⅑⅒]"
)

CLITICS = re.compile(r"n?[’‘](?:ll|re|ve|[smdt])")
STARTERS = """
    a about according additionally after an as at but earlier he her here however if in it last many
    more now once one other our she since so some such that the their then there these they this we
    what when while yet you mr. mrs. ms.
"""
# before one of these a lone letter's period ends a sentence, and does not belong to the letter
BEGINNING = "|".join(f"[{w[0].upper()}](?i:{re.escape(w[1:])})" for w in STARTERS.split())
LONE = re.compile(rf"(?<![^\s\"'(])([a-zA-Z])\.(?=\s+(?:{BEGINNING})\s)")
DASHES = frozenset("-–—―‒‐‑")

PLAIN = re.compile(r"[a-zA-Z]+(?: [a-zA-Z]+)* ?(\.?)")
SPLIT = frozenset({"cannot", "gonna", "gotta", "lemme", "gimme", "wanna"})
ENDING = frozenset(ABBREVIATED.split()) | frozenset("abcdefghijklmnopqrstuvwxyz")
ACROSS = re.compile(  # blanks inside tokens, or blanks that a token looks beyond
    r"\d[ \xa0]+\d|<[a-z!?/]|\. \.|\)[ \xa0]?\d"
    rf"|\b(?:{'|'.join(BEFORE_DIGITS.split())})\. \d",
    re.IGNORECASE,
)


def tokens(caption: str, after: str = "") -> list[str]:
    """Words of a caption, punctuation dropped; a line end in it counts as a blank.

    `after` is the caption that follows in the file, which the published evaluation joins: whether
    `plan B.` keeps its period depends on how that begins.
    """
    caption = caption.replace("\n", " ").replace("&apos;", "'").replace("&nbsp;", " ").strip()
    ends_in_a_word = len(caption) > 2 and caption[-3:-1].isalpha()  # of two letters or more
    if ". " in caption or (caption.endswith(".") and not ends_in_a_word):
        caption = LONE.sub(r"\1 .", f"{caption}\n{after}\n").split("\n")[0]
    plain = PLAIN.fullmatch(caption)
    if plain:
        words = caption.rstrip(" .").lower().split(" ")
        if SPLIT.isdisjoint(words) and not (plain[1] and words[-1] in ENDING):
            return words
    caption = NOTHING.sub(" ", caption)
    if ACROSS.search(caption):
        return [*_scan(caption)]
    return [token for chunk in caption.split() for token in _scan(chunk)]


def tokens_of(captions: Sequence[str]) -> list[list[str]]:
    """Words of captions that follow each other in a file."""
    return [tokens(*pair) for pair in zip(captions, [*captions[1:], ""], strict=True)]


@lru_cache(1 << 16)
def _scan(text: str) -> tuple[str, ...]:
    found, place = list[str](), 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        _, end = max(
            ((match.end(), match.end(1)) for rule in RULES if (match := rule.match(text, place))),
            key=itemgetter(0),  # the first of the longest
        )
        found += _written(text[place:end])
        place = end
    return tuple(found)


def _written(token: str) -> list[str]:
    """What comes out for a token: nothing for dropped punctuation, else one word or several."""
    token = token.lower().replace("\u00ad", "")
    if CLITICS.fullmatch(token):
        token = token.replace("’", "'").replace("‘", "`")
    token = WRITTEN.get(token, token)
    if token in DROPPED or token in QUOTES or DASHES.issuperset(token) or token == ". . .":
        return []
    if token.startswith("<") and token.endswith(">"):
        return token.split(" ")
    token = token.replace("(", "-lrb-").replace(")", "-rrb-")  # of :-) and telephone numbers
    return [token.replace(" ", "\xa0")]
