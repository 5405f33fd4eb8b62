#!/usr/bin/env python3
"""Trains small vocabularies of every kind and writes the ids that the reference tokenizers give them.

    pip install tokenizers sentencepiece gguf protobuf
    python scripts/make_tokenizer_goldens.py              # into crates/lucid/tests/golden/tokenizers
    python scripts/make_tokenizer_goldens.py --fixtures ../shared/fixtures        # mistral.json only

What is written:

    texts.json      the texts, the same for all
    NAME.json       a tokenizer.json, trained and encoded by the `tokenizers` package
    NAME.model      a SentencePiece model, trained and encoded by the `sentencepiece` package
    NAME.gguf       the vocabulary of one of them as GGUF metadata
    ids.json        for every file the ids of every text; null where the reference has no say, see `ids`
    pre.json        for every pre-tokenizer of GGUF files the ids of every text, with the vocabulary of bytes.gguf: all the
                    different ids that a text has ("ids"), and which of them each pre-tokenizer gives it ("names")
    mistral.json    for the Mistral vocabularies of the fixtures, which come without ids, those of their 47 texts

The byte-level vocabulary is trained on whole lines, so that its merges reach over every boundary that a pre-tokenizer
could draw: a boundary in the wrong place changes ids. Every pre-tokenizer is written here as the model's own
tokenizer.json has it, where that is known; llama.cpp's table writes some of them differently.

The trainers of `tokenizers` break ties at random: another run gives other vocabularies of equal worth, and their ids.
"""

import argparse
import io
import json
import tempfile
import unicodedata
from importlib.metadata import version
from pathlib import Path

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as spm
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

GOLDEN = Path(__file__).parent.parent / "crates/lucid/tests/golden/tokenizers"

LINES = """The quick brown fox jumps over the lazy dog, and the dog doesn't mind: it's only a fox.
She said: "We've been there, haven't we?" - 'I'll go', he'd answered, "they're late again".
In 1984 there were 12345 of them; by 2024 it was 1,234,567.89 and more than 1000000 in all.
def parse(line, *, strict=True):  # a comment
    for i, word in enumerate(line.split(" ")):
        if word.startswith("0x") and len(word) > 2:
            yield int(word[2:], 16) << (i & 7)
    return {"camelCase": [1, 2.5e-3], "snake_case": None, "SHOUTING": f"{line!r}"}
<html><body class="main">\t<p>Hello &amp; goodbye!</p>\t</body></html> // TODO: https://example.org/a?b=c&d=e#f
Die Straße war naß, doch die Gänse fraßen süße Äpfel auf der größten Wiese.
L'été dernier, nous étions à la plage où les élèves mangeaient des crêpes au café près de la forêt.
Ağaçların gölgesinde İstanbul'da oturan çocuklar şarkı söylüyordu; Ankara'nın ışıkları güzeldi.
Съешь же ещё этих мягких французских булок, да выпей чаю. Это было давно и неправда.
Ο γρήγορος καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί, και ο σκύλος κοιμάται.
الثعلب البني السريع يقفز فوق الكلب الكسول في ١٢٣٤ يوما.
השועל החום המהיר קופץ מעל הכלב העצלן בשנת אלף.
तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है और फिर घर जाती है।
สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจแล้วกลับบ้าน
敏捷的棕色狐狸跳过了懒狗，然后回家了。我想在公司工作，你呢？
素早い茶色の狐がのろまな犬を飛び越えました。カタカナもあります。
빠른 갈색 여우가 게으른 개를 뛰어넘고 집으로 돌아갔습니다.
Con cáo nâu nhanh nhẹn nhảy qua con chó lười biếng rồi về nhà.
Fancy: ﬁne ﬂow, ①②③, ½ + ¼, x² + y³, Ⅳ, ＦＵＬＬ ＷＩＤＴＨ, ﾊﾝｶｸ, “quotes”, – dashes — and… dots.
Emoji: 🙂 🚀🚀 👩\u200d👩\u200d👧 🇩🇪 ❤️ and maths ∑∫√∞ ≤ ≥ ≠, money €£¥$ 5.
Spaces:  two,   three,    four,\u00a0hard,\u3000wide,\u2003em.
""".splitlines()

TEXTS = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\n\n\n", "\t\n", "\r\n", " \n \n  \n", "a", " a", "a ", "  a  b  ",
    "Hello world", " Hello World!", "Hello, y'all! How are you 😁 ?我想在apple工作1314151天～",
    "I'm WE'RE he'd THEY'LL 'Tis o'clock's don'T ''' 's'", "it'ſ 'ſ K 'ß", "x\u2019s",
    "3", "33", "333", "3333", "33333", "1234567890", "12345678901234567890", "a1b22c333d4444e", "3.14159 1,234,567.89",
    "12abc 1234abc 12_3 ١٢٣٤٥٦٧ ½⅓ ²³ Ⅳ", "1 000 000", "x  1 22  333", "camelCaseHTMLParser ÄpfelÖLÜbung ǅungla",
    "日本語のテキスト。カタカナ、ひらがな！漢字", "한국어 텍스트입니다. ㄱㄴㄷ", "你好，世界！——“引用”…：；、",
    "ประเทศไทย ภาษาไทย", "नमस्ते दुनिया। क्षत्रिय", "café cafe\u0301 naïve nai\u0308ve Å A\u030a \u1e9b\u0323",
    "ﬁﬂ ＡＢＣ １２３ ｶﾞ ①½ ㍿ ℡", "Straße ΣΑΣ İI ıi ǅ ŉ",
    "👩\u200d👩\u200d👧\u200d👦 🇩🇪🇫🇷 ❤️ 🏳️\u200d🌈 1️⃣", "a\u0301\u0302\u0303 \u0301b e\u200d\u0301",
    "\u200b\u200c\u200d\ufeff\u00ad\u2060", "\u0000\u0001\u001f\u007f\u0085\u009f\u2028\u2029",
    "\u00a0\u1680\u2003\u3000x\u202fy\u205f", "\ue000\uf8ff\U000f0000\U0010ffff\ufffd\ufffe\U00031234",
    "!!!!!! ...... ------ ====== //// \\\\\\\\ ::::", "a.b,c;d:e!f?g(h)i[j]k{l}m",
    "$5 €5 £5 5% #tag @user a+b=c <x> ^y^ `z` ~w~ |v|", "foo(bar)[baz]{qux}->x::y&&z||w",
    "#!/bin/sh\n\nif [ -f \"$x\" ]; then\n\techo 'ok'  # fine\nfi\n", "    four\n\ttab\n \tmixed\r\n  end  ",
    "<s> </s> <unk> [CLS] [SEP] [UNK] [MASK] <|eot|> <|user|> <pad>", "<|user|>x<|user|> y <|user|>",
    "a<|tool|>b <|tool|> c", "▁ ▁▁ a▁b _ __", "Ġ Ċ Ā â", "##a a##b ## <0x41> <0x0A>",
    "supercalifragilisticexpialidocious" * 3, "word " * 12, "ab" * 40, "啊" * 20, "ا" * 10 + " " + "ب" * 10,
    "<sentinel:12>IMGIMGABZ  x\ty\nz", "e=mc² → ∞ ≠ ±0", "https://user:pw@example.org:8080/a%20b?c=d&e[]=f#g",
    "Ελλάδα όμορφη ΌΧΙ", "ЁЖИК ёжик Ещё", "ŞİŞLİ'de Ankara'nın", "שלום עולם מה שלומך", "مرحبا بالعالم ١٢٣",
    "a\u0000b", "tab\there", "trailing space ", "trailing newline\n", "\n leading",
]


def random_texts():
    """Texts of characters from everywhere, from a generator that no library can change."""
    ranges = [(0x20, 0x7e), (0x20, 0x7e), (0x61, 0x7a), (0x30, 0x39), (9, 13), (0x20, 0x20), (0xa0, 0x24f),
              (0x300, 0x36f), (0x370, 0x52f), (0x5d0, 0x6ff), (0x900, 0x97f), (0xe00, 0xe5b), (0x1100, 0x11ff),
              (0x1e00, 0x1fff), (0x2000, 0x206f), (0x2070, 0x23ff), (0x2500, 0x27bf), (0x3000, 0x30ff),
              (0x4e00, 0x4eff), (0xac00, 0xacff), (0xf900, 0xfaff), (0xfb00, 0xfdff), (0xff00, 0xffef),
              (0x1f300, 0x1f6ff), (0x20000, 0x200ff)]
    state = 1

    def draw(n):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % n

    for length in range(4, 34):
        text, here = "", ranges[0]
        while len(text) < length:
            if draw(3) == 0:
                here = ranges[draw(len(ranges))]
            text += chr(here[0] + draw(here[1] - here[0] + 1))
        yield text


ALL_TEXTS = TEXTS + list(random_texts())

# ---- pre-tokenizers --------------------------------------------------------------------------------------------------

S = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UP = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOW = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
BEFORE = r"[^\r\n\p{L}\p{N}]?"
END = r"\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = S + "|" + BEFORE + r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + END
QWEN2 = LLAMA3.replace("{1,3}", "")


def cased(up, low, after, rest):
    return f"{BEFORE}{up}*{low}+{after}|{BEFORE}{up}+{low}*{after}|{rest}|{END}"


O200K = cased(UP, LOW, S + "?", r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*")
YOUTU = cased(UP, LOW, S + "?", r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*")
TEKKEN = cased(UP, LOW, "", r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*")
NO_HAN = r"&&[^\p{Han}]]"
KIMI = r"[\p{Han}]+|" + cased(UP[:-1] + NO_HAN, LOW[:-1] + NO_HAN, S + "?", r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*")
SIGNED = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+"
DEEPSEEK3 = SIGNED + r"[\r\n]*|" + END
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
GROUPS = r"\d{1,3}(?=(?:\d{3})*\b)"
LATIN = ("A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376"
         "\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f"
         "\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
         "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d"
         "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb"
         "\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128"
         "\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4"
         "\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf"
         "\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
         "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943")
ASIAN = ("\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f"
         "\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff")

PRE = {
    "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx smaug-bpe chatglm-bpe glm4 glm5":
        [LLAMA3],
    "jais-2": [LLAMA3.replace(r"|\s+(?!\S)|\s+", "") + "".join(rf"|\s{{{n}}}(?!\S)" for n in (512, 256, 128, 64, 32, 16, 8, 4))
               + r"|\s{1,2}(?!\S)|\s{1}"],
    "gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert jina-v1-en jina-v2-code "
    "roberta-bpe mpt olmo jais exaone4 trillion granite-docling": [GPT2],
    "starcoder refact command-r smollm codeshell exaone minerva-7b mellum2": [r"\p{N}", GPT2],
    "qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2": [QWEN2],
    "qwen35": [S + "|" + BEFORE + r"[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + END],
    "ufakzeka": [QWEN2[len(S) + 1:]],
    "laguna": [r"[^\n]+|[\n]+", QWEN2],
    "minicpm5": [r"\p{N}{1,3}", LLAMA3.replace("{1,3}", "+")],
    "seed-coder": [S + "|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"],
    "bailingmoe bailingmoe2 llada-moe":
        [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "exaone-moe": [S + "|" + BEFORE + r"(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]"
                   r"|\s+(?!\S)|\s+"],
    "deepseek-llm": ["[\r\n]", rf"\s?[{LATIN}]+", "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
                     r"\s+$", "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", r"\p{N}+"],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", r"\p{N}"],
    "deepseek-v3 hunyuan-dense joyai-llm hy_v4": [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", DEEPSEEK3],
    "spark2_5": [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", SIGNED + r"|[\r\n]|\s+(?!\S)|\s+", r"\p{N}"],
    "youtu": ["[\uac00-\ud7a3\u3131-\u318e]+|[！…“”‘’—：；，\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+"
              "|[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", YOUTU],
    "afmoe": [GROUPS, f"[{ASIAN}]+", DEEPSEEK3],
    "gpt-4o llama4 kanana2 talkie minimax-m2 granite-embed-multi-97m": [O200K],
    "tiny_aya cohere2moe": [GROUPS, O200K],
    "tekken": [TEKKEN],
    "kimi-k2": [KIMI],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "poro-chat bloom gpt3-finnish": [BLOOM],
    "viking": [BLOOM, r"\p{N}"],
    "chameleon": ["<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", r"([\t\n]|    |  )", r"\p{N}",
                  r"[\p{P}!-/:-@\[-`{-~]", GPT2],
}
# names whose pieces are a token as a whole when the vocabulary has it
WHOLE = set("llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano glm4 glm5 minicpm5 youtu tekken "
            "granite-embed-multi-97m".split())


def split(patterns):
    steps = [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]
    return pre_tokenizers.Sequence(steps + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


# ---- vocabularies of the tokenizers package --------------------------------------------------------------------------

def ids(tokenizer, text):
    """Special tokens are text. The package's Unigram lets them in all the same, and has no say where it does."""
    tokenizer.encode_special_tokens = True
    found = tokenizer.encode(text, add_special_tokens=False).ids
    special = {tokenizer.token_to_id(t) for t in ("<pad>", "</s>")}
    return None if isinstance(tokenizer.model, models.Unigram) and special & set(found) else found


def train(tokenizer, trainer):
    tokenizer.train_from_iterator(LINES * 4, trainer)
    return tokenizer


ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())


def bpe_trainer(size, **kw):
    return trainers.BpeTrainer(vocab_size=size, show_progress=False, **kw)


def byte_level():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    t.decoder = decoders.ByteLevel()
    return train(t, bpe_trainer(900, initial_alphabet=ALPHABET, special_tokens=["<|eot|>"]))


def spaced():
    """As Gemma's: spaces are letters, bytes are the last resort."""
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"]
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Replace(" ", "▁")
    t.pre_tokenizer = pre_tokenizers.Split(Regex("[^\n]+|\n+"), "isolated")
    t = trained_with_bytes(t, specials, lambda a: a)
    t.add_tokens(["<|tool|>"])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return t


def trained_with_bytes(t, specials, edit):
    """Tokens for bytes are part of the vocabulary, but not found in text."""
    train(t, bpe_trainer(800, special_tokens=specials + [f"<0x{b:02X}>" for b in range(256)]))
    j = json.loads(t.to_str())
    j["added_tokens"] = [edit(a) for a in j["added_tokens"][:len(specials)]]
    return Tokenizer.from_str(json.dumps(j))


def wordpiece(lowercase):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    train(t, trainers.WordPieceTrainer(vocab_size=700, show_progress=False,
                                       special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    t.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", None, [("[CLS]", t.token_to_id("[CLS]")), ("[SEP]", t.token_to_id("[SEP]"))])
    t.decoder = decoders.WordPiece()
    return t


def unigram(charsmap):
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    train(t, trainers.UnigramTrainer(vocab_size=600, show_progress=False, unk_token="<unk>",
                                     special_tokens=["<pad>", "</s>", "<unk>"]))
    t.post_processor = processors.TemplateProcessing("$A </s>", None, [("</s>", 1)])
    t.decoder = decoders.Metaspace()
    return t


def chains():
    """Chains of steps that other models have, over small vocabularies."""
    roberta = Tokenizer(models.BPE())
    roberta.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    roberta.decoder = decoders.ByteLevel()
    train(roberta, bpe_trainer(700, initial_alphabet=ALPHABET, special_tokens=["<s>", "</s>"]))
    roberta.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    roberta.add_tokens([AddedToken("<mask>", lstrip=True), AddedToken("<|user|>", rstrip=True),
                        AddedToken("<|tool|>", normalized=True, single_word=True)])
    yield "roberta", roberta

    suffix = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    suffix.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    suffix.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True)
    suffix.decoder = decoders.BPEDecoder(suffix="</w>")
    yield "suffix", train(suffix, bpe_trainer(600, end_of_word_suffix="</w>", special_tokens=["<unk>"]))

    prefix = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="@@"))
    prefix.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Strip()])
    prefix.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=False)])
    prefix.decoder = decoders.WordPiece(prefix="@@", cleanup=False)
    yield "prefix", train(prefix, bpe_trainer(600, continuing_subword_prefix="@@", special_tokens=["<unk>"]))

    falcon = Tokenizer(models.BPE())
    falcon.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")])
    falcon.decoder = decoders.ByteLevel()
    yield "falcon-chain", train(falcon, bpe_trainer(700, initial_alphabet=ALPHABET))

    first = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    first.normalizer = normalizers.NFD()
    first.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split("-", "merged_with_previous"), pre_tokenizers.Split(Regex("[.,]"), "merged_with_next"),
        pre_tokenizers.Metaspace(prepend_scheme="first", split=True)])
    first.decoder = decoders.Metaspace(prepend_scheme="first")
    train(first, bpe_trainer(500, special_tokens=["<unk>"]))
    first.add_tokens([AddedToken("<|user|>", normalized=False)])
    yield "metaspace-first", first

    prepend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    prepend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    prepend = trained_with_bytes(prepend, ["<unk>", "<s>", "</s>"], lambda a: {**a, "normalized": True})
    prepend.add_tokens([AddedToken("<|user|>", normalized=False), AddedToken("<|tool|>", normalized=True)])
    prepend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                         decoders.Strip(" ", 1, 0)])
    yield "prepend", prepend

    words = Tokenizer(models.WordLevel(unk_token="<unk>"))
    words.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    words.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("removed")])
    yield "words", train(words, trainers.WordLevelTrainer(vocab_size=200, show_progress=False, special_tokens=["<unk>"]))


# ---- SentencePiece ---------------------------------------------------------------------------------------------------

def rules(folder):
    """A small table of normalisations: NFKC of the characters and neighbours in the texts, white space, and controls."""
    texts = "".join(LINES + TEXTS)
    table = {}
    for key in sorted(set(texts) | {a + b for a, b in zip(texts, texts[1:]) if unicodedata.combining(b)}):
        written = unicodedata.normalize("NFKC", key)
        if unicodedata.category(key[0]) == "Zs" or key in "\t\n\r\x85":
            written = " "
        elif unicodedata.category(key[0]) in ("Cc", "Cf"):
            written = ""
        if written != key and "\x00" not in key:
            table[key] = written

    def points(text):
        return " ".join(f"{ord(c):X}" for c in text)

    path = Path(folder) / "rules.tsv"
    path.write_text("".join(f"{points(k)}\t{points(v)}\n" for k, v in table.items()))
    return str(path)


def train_spm(kind, size, **options):
    if options.pop("rules", False):
        with tempfile.TemporaryDirectory() as folder:
            return train_spm(kind, size, normalization_rule_tsv=rules(folder), **options)
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES * 4), model_writer=out, model_type=kind, vocab_size=size, hard_vocab_limit=False,
        user_defined_symbols=["<|tool|>", "▁▁▁"], control_symbols=["<|user|>"], num_threads=1, minloglevel=2, **options)
    model = spm.ModelProto.FromString(out.getvalue())
    model.normalizer_spec.ClearField("normalization_rule_tsv")
    return model


def spm_models():
    yield "spm-bpe", train_spm("bpe", 900, byte_fallback=True, normalization_rule_name="identity",
                               remove_extra_whitespaces=False)
    yield "spm-bpe-rules", train_spm("bpe", 700, rules=True)
    yield "spm-unigram", train_spm("unigram", 600, rules=True)
    yield "spm-unigram-bytes", train_spm("unigram", 800, byte_fallback=True, rules=True, remove_extra_whitespaces=False)
    yield "spm-suffix", train_spm("bpe", 700, treat_whitespace_as_suffix=True, rules=True)
    unused = train_spm("bpe", 900, byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=False,
                       remove_extra_whitespaces=False)
    for i, piece in enumerate(unused.pieces):
        if piece.type == 1 and i % 5 == 0:
            piece.type = 5
    yield "spm-unused", unused


# ---- GGUF ------------------------------------------------------------------------------------------------------------

def write_gguf(path, model, tokens, types, keys, scores=None, merges=None, pre=None):
    w = gguf.GGUFWriter(str(path), "llama")
    w.add_tokenizer_model(model)
    if pre:
        w.add_tokenizer_pre(pre)
    w.add_token_list(tokens)
    if scores:
        w.add_token_scores(scores)
    w.add_token_types(types)
    if merges:
        w.add_token_merges(merges)
    for add, value in keys:
        getattr(w, add)(value)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()


def gguf_of_bpe(path, t, model, pre, byte=False, keys=()):
    j = json.loads(t.to_str())
    added = {a["id"]: a for a in j["added_tokens"]}
    vocab = {**j["model"]["vocab"], **{a["content"]: i for i, a in added.items()}}
    tokens = sorted(vocab, key=vocab.get)

    def kind(i, text):
        if i in added:
            return 3 if added[i]["special"] else 4
        return 6 if byte and len(text) == 6 and text.startswith("<0x") else 1

    types = [kind(i, text) for i, text in enumerate(tokens)]
    write_gguf(path, model, tokens, types, keys, merges=[" ".join(m) for m in j["model"]["merges"]], pre=pre)


def gguf_of_wordpiece(path, t):
    vocab = t.get_vocab()
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    tokens = sorted(vocab, key=vocab.get)
    types = [3 if text in special else 1 for text in tokens]
    written = [text if text in special else text[2:] if text.startswith("##") else "▁" + text for text in tokens]
    names = ("add_pad_token_id", "add_unk_token_id", "add_bos_token_id", "add_sep_token_id", "add_mask_token_id")
    write_gguf(path, "bert", written, types, [(add, vocab[text]) for add, text in zip(names, special)])


def gguf_of_spm(path, m, model):
    keys = [("add_add_space_prefix", m.normalizer_spec.add_dummy_prefix), ("add_unk_token_id", m.trainer_spec.unk_id),
            ("add_bos_token_id", m.trainer_spec.bos_id), ("add_eos_token_id", m.trainer_spec.eos_id)]
    if model == "t5":
        keys += [("add_remove_extra_whitespaces", m.normalizer_spec.remove_extra_whitespaces),
                 ("add_precompiled_charsmap", m.normalizer_spec.precompiled_charsmap)]
    write_gguf(path, model, [p.piece for p in m.pieces], [p.type for p in m.pieces], keys, scores=[p.score for p in m.pieces])


# ---- all together ----------------------------------------------------------------------------------------------------

def pre_ids(base):
    found, names_of = [[] for _ in ALL_TEXTS], {}
    for names, patterns in PRE.items():
        for whole in (False, True):
            some = [n for n in names.split() if (n in WHOLE) == whole]
            if some:
                j = json.loads(base.to_str())
                j["model"]["ignore_merges"] = whole
                t = Tokenizer.from_str(json.dumps(j))
                t.pre_tokenizer = split(patterns)
                rows = [ids(t, text) for text in ALL_TEXTS]
                for known, row in zip(found, rows):
                    if row not in known:
                        known.append(row)
                names_of[" ".join(some)] = [known.index(row) for known, row in zip(found, rows)]
    return {"ids": found, "names": names_of}


def mistral(folder, out):
    texts = (folder / "llama-spm.gguf.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    rows = {}
    for name in ("mistral-v1.model", "mistral-v3.model"):
        sp = sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
        rows[name] = sp.encode(texts)
    (out / "mistral.json").write_text(json.dumps(rows, separators=(",", ":")).replace("]],", "]],\n") + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=GOLDEN)
    parser.add_argument("--fixtures", type=Path)
    args = parser.parse_args()
    out = args.out
    out.mkdir(parents=True, exist_ok=True)
    if args.fixtures:
        return mistral(args.fixtures / "tokenizers", out)

    golden, trained = {}, {}
    for name, m in spm_models():
        trained[name] = m
        (out / f"{name}.model").write_bytes(m.SerializeToString())
        sp = sentencepiece.SentencePieceProcessor(model_proto=m.SerializeToString())
        golden[f"{name}.model"] = [sp.encode(text) for text in ALL_TEXTS]
    charsmap = trained["spm-unigram"].normalizer_spec.precompiled_charsmap

    base = byte_level()
    hf = {"bytes": base, "spaced": spaced(), "wordpiece": wordpiece(True), "wordpiece-cased": wordpiece(False),
          "unigram": unigram(charsmap), **dict(chains())}
    for name, t in hf.items():
        (out / f"{name}.json").write_text(json.dumps(json.loads(t.to_str()), ensure_ascii=False, separators=(",", ":")))
        golden[f"{name}.json"] = [ids(t, text) for text in ALL_TEXTS]

    gguf_of_bpe(out / "bytes.gguf", base, "gpt2", "gpt-2")
    gguf_of_bpe(out / "spaced.gguf", hf["spaced"], "gemma4", None, byte=True, keys=[
        ("add_bos_token_id", 2), ("add_eos_token_id", 1), ("add_unk_token_id", 3)])
    golden["spaced.gguf"] = golden["spaced.json"]
    gguf_of_wordpiece(out / "wordpiece.gguf", hf["wordpiece"])
    golden["wordpiece.gguf"] = golden["wordpiece.json"]
    gguf_of_spm(out / "spm-bpe.gguf", trained["spm-bpe"], "llama")
    gguf_of_spm(out / "spm-unigram.gguf", trained["spm-unigram"], "t5")

    def write(name, value):
        """One row a line."""
        def line(v):
            return json.dumps(v, separators=(",", ":"))

        def block(v):
            if isinstance(v, dict):
                return "{\n" + ",\n".join(f"{json.dumps(k)}:{line(row)}" for k, row in v.items()) + "}"
            return "[\n" + ",\n".join(map(line, v)) + "]"

        (out / name).write_text("{" + ",\n".join(f"{json.dumps(k)}:{block(v)}" for k, v in value.items()) + "}\n")

    write("texts.json", {"texts": ALL_TEXTS})
    write("ids.json", golden)
    write("pre.json", pre_ids(base))
    versions = {name: version(name) for name in ("tokenizers", "sentencepiece", "gguf")}
    (out / "versions.json").write_text(json.dumps(versions) + "\n")
    print(len(ALL_TEXTS), "texts,", sum(f.stat().st_size for f in out.iterdir()), "bytes in", out)


if __name__ == "__main__":
    main()
