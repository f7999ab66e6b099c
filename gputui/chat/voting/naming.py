"""Whether an answer says who made it: a vote on it is blind no more.

Said of itself only, as far as that can be told from the words around a name: "I am Qwen" and "I was
trained by Google" are, "Llamas are animals" and "Gemma was trained by Google" are not. Chatbot Arena
leaves out such votes too (FastChat, fastchat/serve/monitor/clean_battle_data.py), by mention alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FAMILIES = _words(
    "deepseek qwen qwq tongyi llama codellama gemma gemini palm bard lamda mistral mixtral ministral "
    "magistral codestral devstral pixtral phi gpt chatgpt claude smollm granite command-r command-a aya "
    "yi glm chatglm kimi olmo tulu falcon internlm nemotron hermes exaone jamba grok minimax baichuan "
    "vicuna alpaca zephyr starcoder stablelm dolphin hunyuan ernie doubao seed-oss solar lfm copilot bloom "
    "apertus teuken eurollm rwkv mamba openhermes orca wizardlm tinyllama "
    "通义千问 千问 深度求索 文心一言 豆包 混元"
)
MAKERS = (
    "openai", "anthropic", "google", "google deepmind", "deepmind", "meta", "meta ai", "facebook",
    "alibaba", "alibaba cloud", "deepseek", "deepseek ai", "mistral ai", "mistral", "microsoft", "ibm",
    "cohere", "cohere for ai", "zhipu", "zhipu ai", "z.ai", "moonshot", "moonshot ai", "hugging face",
    "huggingface", "nvidia", "xai", "01.ai", "tii", "technology innovation institute", "ai2",
    "allen institute", "allen institute for ai", "stability ai", "tencent", "baidu", "bytedance",
    "lg ai research", "ai21 labs", "upstage", "liquid ai", "nous research", "tsinghua university",
    "swiss ai", "阿里", "阿里云", "阿里巴巴", "智谱", "月之暗面", "百度", "腾讯", "字节跳动",
)  # fmt: skip

_FILLERS = _words(
    "a an the one of to in on by from at and or that which who was were is been being also still very your "
    "my i actually indeed just simply only really basically currently called named known as "
    "large small tiny big language languages model models llm slm ai artificial intelligence assistant "
    "assistants chatbot chat bot helpful friendly virtual digital open source open-source open-weights "
    "open-weight weights version variant instance member family series newest latest powerful advanced "
    "capable intelligent multimodal multilingual conversational generative reasoning pre-trained "
    "pretrained instruct instruction-tuned fine-tuned lightweight code coding text based state-of-the-art "
    "developed trained created built made designed released team company research lab labs researchers "
    "engineers people folks scientists here today proudly "
    "ein eine einer der die das von un une le la el los de del du da um uma modelo modèle sprachmodell "
    "ki-modell modelo assistent assistente asistente"
)
_LEADS = (
    r"i\s+am", r"i['’]m", r"my\s+name(?:\s+is|['’]s)", r"you\s+can\s+call\s+me", r"i\s+go\s+by",
    r"i\s+(?:was|am|have\s+been|['’]ve\s+been)", r"i['’]ve\s+been",
    r"you(?:\s+are|['’]re)\s+(?:talking|speaking|chatting)\s+(?:to|with)",
    r"ich\s+bin", r"mein\s+name\s+ist", r"je\s+suis", r"je\s+m['’]appelle", r"soy", r"yo\s+soy",
    r"me\s+llamo", r"sono", r"mi\s+chiamo", r"eu\s+sou", r"meu\s+nome\s+é", r"jag\s+är",
)  # fmt: skip
_GAP = r"[\s*_`(\"“„«'‘:,–—-]+"
_MADE = (
    r"(?:pre-?|fine-?)?(?:trained|developed|created|built|made|designed|released|provided|tuned)"
)
_COMMON = frozenset(
    _words(
        "llama falcon granite phi yi hermes mistral palm bard dolphin bloom mamba alpaca solar orca zephyr "
        "command-r aya seed-oss tulu seed gemini vicuna"
    )
)
"""Names that are words as well: right behind an article they are one ("I am a llama")."""
_CODE = re.compile(r"^ {0,3}(```|~~~).*?(?:^ {0,3}\1|\Z)", re.MULTILINE | re.DOTALL)
_QUOTED = re.compile(r"^ {0,3}>.*$", re.MULTILINE)
LONGEST = 20_000
"""Of an answer so many characters from its start and its end are looked at."""


def names_itself(text: str, own: Collection[str] = ()) -> bool:
    """Whether an answer says who wrote it. ``own`` are the names that its model goes by here: the
    instance's, the model's, which may be none of the known families."""
    if len(text) > 2 * LONGEST:
        text = f"{text[:LONGEST]}\n{text[-LONGEST:]}"
    text = _QUOTED.sub("", _CODE.sub("", text)).strip().lstrip("\"“„«'‘")
    names = frozenset(_spellings(map(str.casefold, own)))
    return any(
        pattern.search(text) for pattern in (*_patterns(), *(_patterns(names) if names else ()))
    )


@lru_cache(maxsize=16)
def _patterns(own: frozenset[str] = frozenset()) -> tuple[re.Pattern[str], ...]:
    """Those of all known names; or those of its ``own`` names alone, which are fewer to compile."""
    fillers = "|".join(map(re.escape, sorted(set(_FILLERS), key=len, reverse=True)))
    filler = rf"(?:(?:{fillers})(?:['’]s)?{_GAP}){{0,14}}+"
    makers_own = rf"(?:(?:{_any_of(MAKERS)})(?:['’]s)?{_GAP})?"  # "Google's Gemma"
    plain = "" if own else _any_of(one for one in FAMILIES if one not in _COMMON)
    common = _any_of(own or _COMMON)  # an instance may be called "coder"
    article = r"(?<!\ba )(?<!\ban )(?<!\bthe )"
    kind = r"(?=[\s-]*(?:\d|v\d|model|assistant|chatbot|instruct|famil|series|chat\b|ai\b|llm))"
    tail = r"(?:[\s._-]*[\dv][\w.-]*)?"
    end, whole = r"(?!\w)", r"(?!\w|['’]s\b)"
    known = rf"(?:{plain}){tail}{whole}|" if plain else ""
    name = rf"(?:{known}{article}(?:{common}){tail}{whole}|(?:{common}){kind})"
    maker = rf"(?:{_any_of(MAKERS)})(?:{whole}|['’]s\s+(?=ai\b|assistant|chatbot|model|large|language|own))"
    lead = rf"(?<![\w\"“„«])(?:{'|'.join(_LEADS)})"
    chinese = r"我(?:是|叫|的名字(?:是|叫))[^。！？!?\n我]{0,24}?"
    # A filler takes all it can and gives nothing back, and a gap in Chinese ends where the next start may
    # be: a text costs its length, whatever it is.
    of_names = (
        rf"{lead}{_GAP}{filler}{makers_own}{filler}{name}",
        rf"\bas{_GAP}{filler}{makers_own}{filler}{name}[\w.-]*[*_\"”]*\s*(?:\([^)\n]{{0,40}}\))?,?\s*"
        r"(?:i|my|i['’]m|i['’]d|i['’]ve)\b",
        rf"{chinese}(?:{'|'.join(filter(None, (plain, common)))})",
    )
    of_makers = (
        rf"{lead}{_GAP}{filler}{maker}",
        rf"\bas{_GAP}{filler}(?:{_any_of(MAKERS)}){end},\s*(?:i|my)\b",
        rf"\b{_MADE}\s+me\b[^.!?\n]{{0,40}}(?:{_any_of(MAKERS)}){end}",
        rf"\b(?:{_any_of(MAKERS)})\s+(?:has\s+|have\s+)?{_MADE}\s+me\b",
        r"\bmy\s+(?:creators?|developers?|makers?|developer\s+team|parent\s+company)\s+(?:is|are|was|were)\s+"
        rf"{filler}(?:{_any_of(MAKERS)}){end}",
        rf"{chinese}(?:{_any_of(MAKERS)})",
    )
    wanted = of_names if own else (*of_names, *of_makers)
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in wanted)


def _any_of(names: Iterable[str]) -> str:
    """A pattern of any of them, the longest first; blanks, hyphens and underscores are the same."""
    longest_first = sorted(set(names), key=lambda name: (-len(name), name))
    return "|".join(
        re.sub(r"(?:\\?[\s_-])+", r"[\\s_-]?", re.escape(name)) for name in longest_first
    )


def _spellings(own: Iterable[str]) -> set[str]:
    """Names with three letters in a row at least: an instance may be called "a" or "1"."""
    return {name.strip() for name in own if re.search(r"[^\W\d_]{3}", name)}
