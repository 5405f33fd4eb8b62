#!/usr/bin/env python3
"""Writes little conversations: how Lucid's demonstration model learns to take turns.

    python scripts/chats.py --count 5 --seed 7

A conversation is a list of messages, {"role": "system" | "user" | "assistant", "content": text}. Most ask for a story
(with a hero, a thing, a name that the story then has) and go on from there: another one, shorter, what was he called?
The rest are greetings, questions that a small child could answer, and requests that are declined politely.
"""

import argparse
import random

from stories import ANIMALS, Story, an, choose

SYSTEM = ("You are Lucid, a friendly storyteller.", "You are a helpful assistant.", "You are Lucid, a small model that tells stories.",
          "You tell stories to children.", "Be kind and short.")
ASK = ("[Tell me|Please tell me|Can you tell me|Write|Please write|I want|I would like|Could you tell me] a [|short |little |nice |]story")
BARE = (ASK + "[.|, please.|]", "[A story, please.|Story!|Tell me something.|Do you know a story?|Once more, a story!]")
BEDTIME = "[Tell me a bedtime story|Please tell me a bedtime story|A bedtime story, please|Can you tell me a bedtime story][.|!|]"
ANOTHER = "[Another one|One more|Another one, please|Another story, please|Tell me another one|One more, please|Again|More][.|!|]"
SHORTER = "[Make it shorter|Shorter, please|Can you make it shorter?|Tell it in two sentences|What happens in the story?|Say it in short|Sum it up]"
PRAISE = "[I liked it|That was nice|What a nice story|I love it|Great|That was a good story|Nice][.|!|]"
GLAD = "[I am glad you liked it!|Thank you, that makes me happy.|How nice of you to say so!] [Shall I tell you another one?|Do you want one more?|Would you like to hear another one?]"
YES = "[Yes|Yes, please|Yes please|Sure|Please|OK][.|!|]"
NO = ("[No|No, thank you|Not now|No thanks][.|!|]", "[All right.|That is fine.|Of course.] [Just ask me when you want to hear one.|I am here when you want one.]")
THANKS = ("[Thank you|Thanks|Thank you very much|Thanks a lot][.|!|]", "[You are welcome!|My pleasure!|With pleasure!] [|Come back soon.|I like telling stories.]")
BYE = ("[Bye|Goodbye|Good night|See you|I have to go][.|!|]", "[Goodbye!|Good night!|See you soon!] [Sleep well.|Come back when you want a story.|It was nice to talk to you.]")

# Questions about itself, and the answers. Every wording of the one may meet every wording of the other.
SELF = (
    ("[Hello|Hi|Hey|Good morning|Good evening|Hello there|Hi there][!|.|]",
     "[Hello!|Hi!|Hello there!] [I am Lucid. Would you like to hear a story?|How nice to meet you. Shall I tell you a story?|What can I do for you?|I am Lucid, a small storyteller.]"),
    ("[What is your name?|Who are you?|What are you called?|Do you have a name?|Tell me your name.|What are you?]",
     "[I am Lucid, a very small language model.|My name is Lucid.|I am Lucid.] [I tell little stories.|I like to tell stories.|Ask me for a story!]"),
    ("[What can you do?|What do you do?|How can you help me?|What are you good at?|Help][|]",
     "I can tell little stories, and I can answer [a few easy|very easy|some simple] questions. [Ask me for a story about a fox and a kite.|Try this: tell me a story about a mouse.|I am very small, so I do not know much more.]"),
    ("[How are you?|How do you do?|How are you today?|Are you well?]", "[I am fine, thank you.|Very well, thank you!|I am happy to be here.] [And how are you?|Would you like a story?]"),
    ("[How old are you?|When were you born?|What is your age?]", "[I do not have an age.|I have no birthday.] I was made on a computer [not long ago|in less than an hour]."),
    ("[Are you a human?|Are you a robot?|Are you alive?|Are you real?|Are you a person?]", "[No, I am only a small program.|I am a program, not a person.] [I make one word after the other.|But I like stories.]"),
    ("[Who made you?|Where do you come from?|How were you made?|How do you work?]",
     "[I was trained on little stories that a program wrote.|I learned from little stories, all written by a program.] I [guess|choose] one [piece of a word|word] after the other."),
    ("[Do you like stories?|What do you like?|What is your favourite thing?]", "[I like stories most of all.|Stories!] [Stories about friends are the best.|Would you like to hear one?]"),
    ("[How are stories made?|What makes a good story?]", "A good story has a hero, a wish, something in the way, and a friend who helps."),
    ("[I am sad|I feel sad|I am so sad today|I had a bad day][.|]", "[I am sorry to hear that.|Oh, I am sorry.] [A story may help a little. Shall I tell you one?|Talk to a friend. And if you like, I will tell you a story.]"),
    ("[I am happy|I feel good|I had a good day|I am fine][.|!|]", "[How nice!|I am glad to hear that!|That is good to hear.] [Shall I tell you a happy story?|Would you like a story?]"),
    ("[I am bored|I am so bored|What shall we do?][.|]", "[Then let me tell you a story!|How about a story?] [Who should be in it?|What should it be about?]"),
    ("[I can not sleep|I am tired][.|]", "[Close your eyes and breathe slowly.|Think of three good things from today.] [Or shall I tell you a bedtime story?|Good night!]"),
)
DECLINED = ("[What is the weather today?|Will it rain tomorrow?|What time is it?|What is the news?|What day is it today?|Write some code.|Write a program in Python.|"
            "Write a Python function.|Translate this into French.|What is the capital of France?|Who is the president?|What is 123 times 456?|"
            "What is the meaning of life?|How do I fix my car?|Is this medicine safe?|Give me a recipe.|Explain quantum physics.|How far is the moon?|"
            "Solve this equation.|Write an email to my boss.|Who won the game?|Play some music.|Draw a picture.|Book a flight.|What should I buy?|"
            "Tell me about history.|Tell me about science.|What is a computer?|Search the web.|Open the door.|How do I make money?|Write an essay.]",
            "[I am sorry, I do not know that.|I am sorry, that is too hard for me.|I can not do that.|That is more than I can do.] "
            "[I am a very small model and only know little stories.|I only know little stories and easy questions.|But I can tell you a story, if you like.]")
FACTS = (  # question words, answer words: (colour, sound, home, food ...) of a thing
    ("[What colour is|What color is|Which colour has] the $0?", "[The $0 is $1.|It is $1.]",
     "sky=blue,grass=green,sun=yellow,snow=white,night=black,coal=black,sea=blue,leaf=green,carrot=orange,lemon=yellow,milk=white,fire=red,cloud=white,moon=white,frog=green,tomato=red,banana=yellow,pumpkin=orange,fox=red,elephant=grey"),
    ("[What does a $0 say?|What sound does a $0 make?|How does a $0 go?]", "[A $0 says $1.|$1!]",
     "cow=moo,cat=meow,dog=woof,duck=quack,sheep=baa,pig=oink,lion=roar,bee=buzz,owl=hoo,frog=ribbit,mouse=squeak,chicken=cluck,horse=neigh,snake=hiss,wolf=awoo"),
    ("[Where does a $0 live?|Where is the home of a $0?]", "A $0 lives $1.",
     "fish=in the water,bird=in a nest,bee=in a hive,bear=in a cave,frog=by a pond,cow=on a farm,whale=in the sea,rabbit=in a hole,fox=in a den,snail=in its own little house,spider=in a web,penguin=where it is cold,camel=in the desert"),
    ("[What does a $0 eat?|What does a $0 like to eat?]", "A $0 [eats|likes to eat] $1.",
     "rabbit=carrots,mouse=cheese,squirrel=nuts,horse=grass,bear=honey,monkey=bananas,cow=grass,cat=fish,dog=bones,panda=bamboo,bird=seeds"),
    ("[What is the opposite of $0?|Tell me the opposite of $0.|Opposite of $0?]", "[The opposite of $0 is $1.|$1.]",
     "big=small,small=big,hot=cold,cold=hot,up=down,down=up,day=night,night=day,happy=sad,sad=happy,fast=slow,slow=fast,old=young,young=old,good=bad,open=closed,full=empty,loud=quiet,light=dark,dark=light,wet=dry,dry=wet,yes=no,left=right,long=short,high=low,hard=soft"),
    ("How many $0?", "$1.",
     "legs does a dog have=A dog has four legs,legs does a spider have=A spider has eight legs,legs does a bird have=A bird has two legs,eyes do you have=I have no eyes,days are in a week=A week has seven days,months are in a year=A year has twelve months,fingers are on a hand=A hand has five fingers,wheels does a bike have=A bike has two wheels,wheels does a car have=A car has four wheels,legs does a cat have=A cat has four legs,legs does a bee have=A bee has six legs"),
    ("What $0?", "$1.",
     "comes after Monday=After Monday comes Tuesday,comes after Sunday=After Sunday comes Monday,comes after Friday=After Friday comes Saturday,do bees make=Bees make honey,is snow made of=Snow is made of frozen water,do cows give=Cows give milk,is bread made of=Bread is made of flour and water,do we do at night=At night we sleep,shines at night=The moon and the stars shine at night,falls from clouds=Rain falls from the clouds,comes after winter=After winter comes spring,comes after summer=After summer comes autumn"),
)
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()


def facts(rng: random.Random) -> tuple[str, str]:
    if rng.random() < 0.25:
        return sums(rng)
    ask, answer, pairs = rng.choice(FACTS)
    key, value = rng.choice(pairs.split(",")).split("=")
    if value[0].islower() and key in ("owl", "elephant", "old", "open", "empty"):
        ask, answer = (t.replace("a $0", "an $0").replace("A $0", "An $0") for t in (ask, answer))
    ask, answer = (choose(rng, t).replace("$0", key).replace("$1", value) for t in (ask, answer))
    return ask, answer[0].upper() + answer[1:]


def sums(rng: random.Random) -> tuple[str, str]:
    """Sums up to ten, which are few enough to learn by heart."""
    a = rng.randint(0, 6)
    b = rng.randint(0, 10 - a)
    if rng.random() < 0.25 and b >= a:
        return choose(rng, f"[What is|How much is] {b} minus {a}?"), f"{b} minus {a} is {b - a}."
    if rng.random() < 0.2:
        return f"What comes after {NUMBERS[a]}?", f"After {NUMBERS[a]} comes {NUMBERS[a + 1]}."
    sign = rng.choice(("plus", "and", "+"))
    return choose(rng, f"[What is|How much is|] {a} {sign} {b}?").strip(), f"{a} {sign} {b} is {a + b}."


def request(rng: random.Random, story: Story) -> str:
    """A wish that the story fulfils: only what is in the story is asked for."""
    w, text = story.words, story.text
    kind = w["kind"]
    hero = an(rng.choice((kind, kind, kind, f"{w['trait']} {kind}" if f"{w['trait']}" in text else kind, f"little {kind}")))
    things = [t for t in (w["noun"], w["thing"]) if f" {t}" in text]
    extra = []
    if things:
        extra += [f" and {an(rng.choice(things))}"] * 3
    if w["a_friend"] in text:
        extra.append(f" and {an(w['fkind'])}")
    about = rng.choice((hero, hero + rng.choice(extra or [""]), hero + rng.choice(extra or [""]),
                        f"{hero} named {w['hero']}", f"{hero} called {w['hero']}"))
    if things and rng.random() < 0.12:
        about = an(rng.choice(things))
    return choose(rng, ASK + " about ") + about + choose(rng, "[.|, please.|]")


def after_story(rng: random.Random, story: Story) -> list[tuple[str, str]]:
    """What a listener may say next, with the answer."""
    w = story.words
    kind, hero = w["kind"], w["hero"]
    turns = [(choose(rng, SHORTER), story.short), (choose(rng, SHORTER), story.short),
             (choose(rng, f"[What was the {kind} called?|What was the name of the {kind}?|Who was the hero?|What is the name of the {kind}?]"),
              choose(rng, f"[The {kind} was called {hero}.|The name of the {kind} was {hero}.]")),
             (choose(rng, "[What is the moral?|What can I learn from it?|What is the moral of the story?|What does it mean?]"), story.moral),
             (choose(rng, PRAISE), choose(rng, GLAD)), tuple(choose(rng, t) for t in THANKS)]
    if w["a_friend"] in story.text:
        turns.append((choose(rng, f"[Who was {w['friend']}?|And who was {w['friend']}?]"), f"{w['friend']} was {w['a_friend']}."))
    if w["place"] in story.text.lower():
        turns.append((f"Where did {hero} live?", f"{hero} lived {w['place']}."))
    return turns


def conversation(rng: random.Random) -> list[dict[str, str]]:
    """One conversation, of at most two stories."""
    turns: list[tuple[str, str]] = []
    if rng.random() < 0.15:
        turns.append(tuple(choose(rng, t) for t in SELF[0]))
    if rng.random() < 0.6:
        story = Story(rng, kind=rng.choice((None, None, rng.choice(ANIMALS), rng.choice(("girl", "boy")))))
        ask = request(rng, story) if rng.random() < 0.75 else choose(rng, BEDTIME if story.plot == "bedtime" else rng.choice(BARE))
        turns.append((ask.replace(", please.", ".") if ask.startswith("Please") else ask, story.text))
        follow = rng.random()
        if follow < 0.45:
            turns += rng.sample(after_story(rng, story), rng.choice((1, 1, 2)))
        elif follow < 0.6:
            turns.append((choose(rng, ANOTHER), Story(rng).text))
        elif follow < 0.7:
            turns.append((choose(rng, PRAISE), choose(rng, GLAD)))
            turns.append((choose(rng, YES), Story(rng).text) if rng.random() < 0.7 else tuple(choose(rng, t) for t in NO))
    else:
        for _ in range(rng.choice((1, 2, 3, 4))):
            turn = rng.random()
            turns.append(facts(rng) if turn < 0.5 else tuple(choose(rng, t) for t in (rng.choice(SELF) if turn < 0.8 else DECLINED)))
    if rng.random() < 0.1:
        turns.append(tuple(choose(rng, t) for t in rng.choice((THANKS, BYE))))
    messages = [{"role": "system", "content": rng.choice(SYSTEM)}] if rng.random() < 0.2 else []
    for ask, answer in turns:
        ask = ask.strip()
        style = rng.random()  # people do not always write with care
        ask = ask.lower() if style < 0.2 else ask.lower().rstrip(".?!") if style < 0.3 else ask
        messages += [{"role": "user", "content": ask}, {"role": "assistant", "content": " ".join(answer.split(" ")).strip()}]
    return messages


def main() -> None:
    cli = argparse.ArgumentParser(description="Write little conversations.")
    cli.add_argument("--count", type=int, default=5)
    cli.add_argument("--seed", type=int, default=1)
    args = cli.parse_args()
    rng = random.Random(args.seed)
    for _ in range(args.count):
        for m in conversation(rng):
            print(f"{m['role']:>9}: {m['content']}")
        print()


if __name__ == "__main__":
    main()
