#!/usr/bin/env python3
"""Writes little stories for children: the whole text that Lucid's demonstration model learns from.

    python scripts/stories.py --count 3 --seed 7            # three stories
    python scripts/stories.py --count 3 --plot lost         # of one plot
    python scripts/stories.py --stats                       # how varied they are

A story is planned before it is told. `World` casts it: a hero with a name, a kind, a trait and one pronoun from
beginning to end, a friend of the other pronoun (so that "he" and "she" never blur), an elder, a place, a season and one
thing that matters. A plot then tells it in steps, and each step has many wordings. Same seed, same stories.

Wordings are written in three marks:

    [a|b|c]     one of these, each as likely as the next; may nest, and may be empty
    $name       a word of the cast: $hero $he $him $his $self, $friend $fhe ..., $thing, $a_thing, $place ...
    a space too many, or one before a comma, is cleared away, and a step begins with a capital letter
"""

import argparse
import random
import re

# Few names, none like another: a small model tells them apart, and a story keeps those it began with.
GIRLS = "Mia Lily Nora Zoe Ella Ruby Anna Wren Greta Ivy".split()
BOYS = "Ben Tom Sam Leo Finn Hugo Noah Oscar Jack Theo".split()
SHE_ANIMALS = "Hazel Clover Fern Daisy Maple Juniper Plum Willow".split()
HE_ANIMALS = "Pip Button Rusty Bumble Acorn Thistle Nutmeg Dusty".split()
ANIMALS = ("Hazel Clover Fern Pepper Juniper Daisy Bramble Plum Maple Willow Poppet Tansy").split()
HE_ANIMALS = ("Pip Button Biscuit Tuft Nutmeg Rusty Bumble Acorn Thistle Barley Sprout Dusty").split()
ANIMALS = ("fox rabbit bear mouse hedgehog duck squirrel frog cat puppy kitten turtle badger otter lamb pony goat mole "
           "beaver owl dog horse pig wolf lion elephant monkey penguin deer sheep chicken dragon robot dinosaur unicorn").split()
TRAITS = "kind curious brave shy cheerful careful clever gentle quiet busy playful merry".split()
SIZES = "little small young".split()
COLOURS = "red blue green yellow white golden silver purple orange".split()
TOYS = ("kite,ball,boat,drum,hat,scarf,lantern,bell,whistle,basket,blanket,umbrella,teddy bear,music box,wooden horse,"
        "button,feather,key,ribbon,cup,book,balloon,shell,star,stone,flower,crown,ring,toy train,wagon,flute,map").split(",")
FOODS = ("apple pie", "honey cake", "bowl of berries", "loaf of bread", "basket of pears", "plum cake", "pot of soup",
         "bag of nuts", "plate of cookies", "jar of jam")
PLACES = {  # where one lives: what lies near
    "in a small village": "the village square",
    "on a quiet farm": "the big barn",
    "by a slow river": "the old bridge",
    "at the edge of a forest": "the tall trees",
    "near the sea": "the sandy beach",
    "on top of a green hill": "the stone wall",
    "next to a round pond": "the tall reeds",
    "in a cosy house under an oak tree": "the oak tree",
    "in a little town": "the park",
    "beside a wide meadow": "the wild flowers",
}
ELDERS = (("grandmother", "she", "her", "her"), ("grandfather", "he", "him", "his"), ("mother", "she", "her", "her"),
          ("father", "he", "him", "his"), ("aunt", "she", "her", "her"), ("uncle", "he", "him", "his"))
TIMES = ("one morning", "one day", "one sunny day", "one afternoon", "one spring morning", "one autumn day",
         "one warm day", "one bright morning", "early one day")
PRONOUNS = {"he": ("he", "him", "his", "himself"), "she": ("she", "her", "her", "herself")}
OPENINGS = (("once upon a time , there was $a_hero named $hero .", 6),
            ("once upon a time , there lived $a_hero called $hero .", 3),
            ("once upon a time , $a_hero named $hero lived $place .", 4),
            ("once there was $a_hero whose name was $hero .", 1),
            ("there was once $a_hero named $hero , who lived $place .", 1),
            ("$hero was $a_hero .", 2),
            ("long ago , $place , there lived $a_hero named $hero .", 1),
            ("$place lived $a_hero named $hero .", 1))


def an(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


class World:
    """The cast of one story. Attributes are what the wordings may name."""

    def __init__(self, rng: random.Random, kind: str | None = None, thing: str | None = None):
        self.rng = rng
        gender = rng.choice(("he", "she"))
        other = "she" if gender == "he" else "he"
        if kind in ("girl", "boy"):
            gender, other = ("she", "he") if kind == "girl" else ("he", "she")
        elif kind is None:
            child = "girl" if gender == "she" else "boy"
            kind = rng.choice((child, child, *rng.sample(ANIMALS, 3)))
        people = kind in ("girl", "boy")
        words = {"kind": kind, "trait": rng.choice(TRAITS)}
        words["hero"] = rng.choice(names(gender, people))
        words["a_hero"] = an(rng.choice((f"{rng.choice(SIZES)} {kind}", f"{words['trait']} {kind}",
                                         f"{words['trait']} {rng.choice(SIZES)} {kind}")))
        for prefix, g in (("", gender), ("f", other)):
            he, him, his, self_ = PRONOUNS[g]
            words |= {prefix + "he": he, prefix + "him": him, prefix + "his": his, prefix + "self": self_,
                      prefix + "He": he.capitalize(), prefix + "His": his.capitalize()}
        # A child meets a child or an animal, an animal meets an animal of another kind.
        fkind = rng.choice([a for a in ANIMALS if a != kind])
        if people and rng.random() < 0.5:
            fkind = "girl" if other == "she" else "boy"
        words["fkind"] = fkind
        words["friend"] = rng.choice(names(other, fkind in ("girl", "boy")))
        words["a_friend"] = an(f"{rng.choice(SIZES + TRAITS[:6])} {fkind}")
        elder, ehe, ehim, ehis = rng.choice(ELDERS)
        words |= {"elder": elder, "ehe": ehe, "ehim": ehim, "ehis": ehis, "Ehe": ehe.capitalize()}
        words["place"], words["near"] = rng.choice(list(PLACES.items()))
        words["noun"] = thing or rng.choice(TOYS)
        words["thing"] = words["noun"] if rng.random() < 0.2 else f"{rng.choice(COLOURS)} {words['noun']}"
        words["a_thing"] = an(words["thing"])
        words["food"] = rng.choice(FOODS)
        words["a_food"] = an(words["food"])
        words["time"] = rng.choice(TIMES)
        self.words = words

    def tell(self, wording: str) -> str:
        """One step in words."""
        text = choose(self.rng, wording)
        text = re.sub(r"\$(\w+)", lambda m: self.words[m[1]], text)
        text = re.sub(r"\s+([,.:!?])", r"\1", re.sub(r"\s+", " ", text)).strip()
        return text[:1].upper() + text[1:] if text[:1] != '"' else text[0] + text[1].upper() + text[2:]


def names(gender: str, people: bool) -> list[str]:
    if people:
        return GIRLS if gender == "she" else BOYS
    return SHE_ANIMALS if gender == "she" else HE_ANIMALS


def choose(rng: random.Random, wording: str) -> str:
    """Settle every [a|b|c], the innermost first."""
    while "[" in wording:
        wording = re.sub(r"\[([^\[\]]*)\]", lambda m: rng.choice(m[1].split("|")), wording)
    return wording


# Wordings that several plots share.
ASKED = "[asked|said]"
SAD = "[$hero felt sad .|$hero was very sad .|$he felt like crying .|$hero sat down and sighed .|a tear ran down $his nose .]"
GLAD = "[$hero was so happy .|$hero smiled .|$hero laughed with joy .|$hero jumped up and down .|$hero felt warm inside .]"
THANKS = ('["Thank you !" said $hero .|"Thank you , $friend !" said $hero .|"You are so kind !" said $hero .|'
          '"Thank you so much !" $hero cried .]')
HOME = ("[$hero went home with a smile .|$hero and $friend walked home together .|when the sun went down , they went home .|"
        "that night , $hero slept very well .|they were tired and happy .|then they sat in the sun and told each other stories .]")
LIVED = "[$He lived $place .|$hero lived $place with $his $elder .|$His home was $place .|$He lived $place , not far from $near .]"
HABIT = ("[|||$He liked to [sing|run and jump|look at the clouds|count the birds|play all day|watch the bees|hum little songs] .|"
         "$hero was [very $trait|always $trait|as $trait as can be] .|everyone liked $hero .]")
TRIED = "[at first it was not easy , but $hero did not give up .|$he tried once . $He tried twice . $He tried again .|it was hard , but $hero kept trying .]"


def lost(w):
    w.words["spot"] = w.rng.choice(("under a bush", "behind a big stone", "in the tall grass", "under the bed",
                                    "high up in a tree", "inside an old box", "next to a puddle", "behind the door"))
    return [
        "[$hero had $a_thing and loved it very much .|the best thing $hero had was $a_thing .|$hero had $a_thing . $He took it everywhere .]",
        "$time , [the $thing was gone|$hero could not find the $thing|$hero looked for the $thing , but it was not there] . " + SAD,
        '[$he looked in the kitchen . $He looked in the garden . It was not there .|$he looked here and $he looked there , but $he could not find it .|'
        '$he looked all around $near , but there was no $thing .]',
        f'["Where is my $thing ?" {ASKED} $hero .|"Oh no ! My $thing is lost !" cried $hero .]',
        '[then|just then|soon] $friend , $a_friend , came by . ["I will help you look ," said $friend .|"Do not be sad . Let us look together ," $fhe said .]',
        "[they looked and looked .|they walked all the way to $near .|$friend looked up and $hero looked down .] "
        "[at last|and then] $friend saw something $thing_hint . [it was the $thing , $spot !|there was the $thing , $spot !]",
        f"{THANKS} {GLAD}",
        "[from then on , $hero always put the $noun in its place .|$hero hugged the $thing and hugged $friend too .|after that , $hero let $friend play with the $thing every day .]",
        "[$he learned that looking is easier with a friend .|two friends can find what one can not .|a good friend is better than any $noun .]",
    ], "$hero the $kind lost $a_thing . $friend helped $him look , and they found it $spot . $hero was happy again ."


def friendship(w):
    w.words["game"] = w.rng.choice(("hide and seek", "catch", "with the $thing", "pirates", "in the leaves", "by the water"))
    return [
        "[$hero had no one to play with .|$hero often played alone .|$hero was new and did not know anyone .] [$He wanted a friend .|$He wished for a friend .|more than anything , $he wanted a friend .]",
        "$time , $hero saw $a_friend near $near . [the $fkind was all alone too .|the $fkind was sitting very still .|the $fkind was looking at the sky .]",
        "[$hero was a bit afraid to say hello .|$hero did not know what to say .|$hero felt shy .] [but $he took a deep breath .|but then $he had an idea .|but $he walked up to the $fkind .]",
        '["Hello , my name is $hero . What is your name ?"|"Hi ! I am $hero . Who are you ?"] '
        '["My name is $friend ," said the $fkind .|"I am $friend ," said the $fkind with a shy smile .]',
        '["Do you want to play with me ?" asked $hero .|"Would you like to see my $thing ?" asked $hero .|"I have $a_thing . Shall we play ?" asked $hero .] '
        '["Oh yes !" said $friend .|"I would love to !" said $friend .|$friend nodded and smiled .]',
        "[they played $game all day .|they played $game until the sun went down .|they ran and laughed and played $game .]",
        '["Will you come back tomorrow ?" asked $friend . "Yes , I will !" said $hero .|"You are my friend now ," said $friend . "And you are mine ," said $hero .]',
        "[from that day on , they met every day .|after that , $hero was never alone again .|and so $hero and $friend became the best of friends .]",
        "[sometimes all it takes is one hello .|a small hello can begin a big friendship .|a friend may be just around the corner .]",
    ], "$hero the $kind had no one to play with . One day $he met $friend the $fkind and said hello . They played $game and became friends ."


def helping(w):
    w.words["stuck"], w.words["free"] = w.rng.choice((
        ("stuck in the mud", "$hero pulled and pulled until $friend was free"),
        ("stuck in a bush", "$hero bent the branches away , one by one , and $friend was free"),
        ("sitting on a branch and could not get down", "$hero found a ladder , and $friend climbed down"),
        ("stuck in a deep hole", "$hero let down a long rope , and $friend climbed up"),
        ("with a thorn in $fhis foot", "$hero pulled the thorn out , very slowly"),
        ("carrying a bag that was much too heavy", "$hero took one side of the bag , and together it was easy")))
    return [
        "$time , $hero was on the way to $near . [$He wanted to play with $his $thing .|$He had $a_thing with $him .|$He could not wait to try $his new $thing .]",
        '[then $he heard a small voice .|on the way , $he heard someone cry .|suddenly $he stopped and listened .] ["Help ! Please help me !" [it said|said the voice] .|"Oh dear , oh dear !" said the voice .]',
        "[it was $a_friend named $friend , $stuck .|there was $friend , $a_friend , $stuck .]",
        "[$hero wanted to play , but $he did not walk on .|$hero thought about $his game . Then $he looked at $friend again .|$hero did not think twice .] "
        '["Do not worry . I will help you ," said $hero .|"Wait , I am coming !" said $hero .|"Stay still . I know what to do ," said $hero .]',
        "[$free .|it took a long time . But $free .|soon $free .]",
        '["Thank you ," said $friend . "You are so kind !"|"Thank you , thank you !" said $friend . "How can I help you now ?"|$friend gave $hero a big hug .]',
        "[$hero showed $friend the $thing , and they played with it together .|then they went to $near and played with the $thing .|$friend wanted to see the $thing , and so they played together .]",
        "[it was the best day of all .|$hero was glad that $he had stopped .|and $hero felt very proud .]",
        "[when you help someone , you may find a friend .|helping makes two hearts glad .|there is always time to be kind .]",
    ], "$hero the $kind found $friend , $stuck . $hero stopped to help , and then they played together ."


def fear(w):
    w.words["fear"], w.words["scene"], w.words["brave"] = w.rng.choice((
        ("the dark", "night came and the lamp went out", "lit a small candle , and the dark was not so big any more"),
        ("thunder", "a storm came and the sky went boom", "counted from the flash to the boom : one , two , three . It was far away"),
        ("deep water", "$his $thing fell into the pond", "put one foot in , and then the other . The water was warm and soft"),
        ("high places", "$his $thing was up in a tree", "climbed one branch , and then one more . $He did not look down"),
        ("loud noises", "the big bell began to ring", "put $his hands on $his ears and took a slow breath . The noise was only a song"),
        ("the forest", "the wind took $his $thing into the forest", "walked in with small steps . The trees were tall and kind")))
    return [
        "[$hero was not afraid of much , but $he was afraid of $fear .|there was one thing $hero did not like : $fear .|$hero was afraid of $fear .]",
        "one day , $scene . [$hero began to shake .|$hero hid under a blanket .|$hero's heart went bump , bump , bump .]",
        '["I am scared ," said $hero .|"I can not do it ," said $hero .|"Oh , I am so afraid !" said $hero .]',
        "[$his $elder took $his hand .|$his $elder sat down beside $him .|$his $elder heard $him .] "
        '["Everyone is afraid sometimes ," $ehe said . "Being brave means to try anyway ."|"I am afraid sometimes too ," $ehe said . "Take one small step . Then take one more ."|"I am here ," $ehe said . "You can hold my hand ."]',
        "[$hero thought about it .|$hero closed $his eyes and opened them again .|$hero took a deep breath .] [then|slowly ,|step by step ,] $he $brave .",
        '["I did it !" cried $hero .|"It is not so bad !" said $hero .|"Look at me !" said $hero .] [$his $elder was very proud .|$his $elder smiled and clapped .]',
        "[from that day on , $hero was not so afraid of $fear .|after that , $fear did not seem so big .|the next time , $hero was not afraid at all .]",
        "[being brave is easier one step at a time .|to be brave is to be afraid and try anyway .|even a small heart can be brave .]",
    ], "$hero the $kind was afraid of $fear . $His $elder helped $him , and $he took one small step after another . Then $he was not so afraid any more ."


def gift(w):
    w.words["reason"] = w.rng.choice(("it was $friend's birthday", "$friend was ill and had to stay in bed", "$friend felt sad",
                                      "$friend was moving to a new house", "it was the first day of winter"))
    return [
        "$hero had a [good|dear|best] friend , $a_friend named $friend .",
        "$time , $reason . $hero wanted to give $fhim a gift . [but $he had no money .|but what could it be ?|$he thought and thought .]",
        '["What can I give ?" $he asked $his $elder .|$he went to $his $elder and asked what to do .] "A gift from the heart is the best gift ," said $his $elder .',
        "[so $hero took some paper and some paint|so $hero went out to look for nice things|so $hero sat down and began to work] . "
        "[$He worked all day .|$He worked until it was dark .|$He was very careful .] [at last $he had made $a_thing .|when $he was done , there was $a_thing on the table .|$he made $a_thing , all by $self .]",
        "[it was a bit crooked , but it was pretty .|it was not perfect , and $hero was worried .|one side was bigger than the other .] "
        '["I hope $fhe likes it ," said $hero .|"What if $fhe does not like it ?" thought $hero .]',
        '[$friend opened the box and $fhis eyes grew big .|when $friend saw it , $fhe gave a happy shout .|$friend held it up to the light .] '
        '["You made this for me ?" $fhe asked . "It is the best gift of all !"|"It is beautiful !" $fhe said . "I will keep it forever ."]',
        f"{GLAD} [they ate a piece of cake .|they hugged each other .|they laughed and sang a song .]",
        "[a gift is small or big because of the love in it .|the best gifts come from the heart .|what you make with love is always beautiful .]",
    ], "$hero the $kind wanted to give $friend a gift , so $he made $a_thing . $friend said it was the best gift of all ."


def storm(w):
    w.words["sky"], w.words["harm"], w.words["fix"] = w.rng.choice((
        ("dark clouds came and it began to rain", "the rain came into $friend's house", "they put a big leaf on the roof and the rain stayed out"),
        ("a strong wind began to blow", "the wind took the roof of $friend's house", "they made a new roof of wood and straw"),
        ("snow began to fall , more and more", "the snow lay so deep that $friend could not open $fhis door", "$hero dug a path , right up to the door"),
        ("fog came up , white and thick", "$friend could not find the way home", "$hero rang a bell , and $friend walked to the sound")))
    return [
        "$time , $hero was playing with $a_thing near $near . [the sun was warm .|it was a fine day .|the birds were singing .]",
        "[but then|suddenly|all at once] $sky . [$hero ran home as fast as $he could .|$hero held the $thing tight and ran inside .]",
        "[inside it was warm and dry .|$his $elder made hot milk .|$hero sat by the fire .] [but $he thought of $friend , $a_friend who lived all alone .|then $he heard a knock . $His friend $friend , $a_friend , needed help .]",
        '[$harm .|oh dear ! $harm .] ["We must help !" said $hero .|"I have to help my friend ," said $hero .]',
        "[$hero put on $his boots and $his coat and went out .|$hero and $his $elder went out together .|$hero was not afraid . $He went out .] [soon $fix .|they worked hard , and $fix .]",
        '["Come home with us ," said $hero . "There is soup for everyone ."|"You can stay with us tonight ," said $hero .|"Now we will have a cup of tea ," said $friend .]',
        "[they sat by the fire and listened to the weather outside .|they ate warm soup and told stories .|they played with the $thing until bedtime .]",
        "[in the morning , the sky was blue again .|the next day , the sun came back .|at night , the sky was full of stars .] "
        "[a storm is not so bad when you have a friend .|after every storm the sun comes back .|good friends help in all kinds of weather .]",
    ], "$sky , and $harm . $hero the $kind went out to help , and $fix . Then they were warm and safe ."


def mistake(w):
    w.words["broke"] = w.rng.choice(("dropped it , and it broke", "ran too fast and fell on it , and it broke", "pulled too hard , and it broke",
                                     "left it out in the rain , and it was spoiled"))
    return [
        "$hero had a friend named $friend , $a_friend . $friend had $a_thing and was very proud of it .",
        '$time , $hero asked , "May I play with your $thing ?" ["Yes , but please be careful ," said $friend .|"Of course ," said $friend .]',
        "[but $hero was not careful .|$hero played and played . $He forgot to be careful .|it was so much fun !] [then $he $broke .|oh no ! $hero $broke .]",
        "[$hero did not know what to do .|$hero felt hot and cold .|$hero wanted to run away .] [$he hid the $noun under a bush .|$he put the $noun behind $near and said nothing .|$he went home and said nothing .]",
        '[that night $he could not sleep .|$he could not eat $his dinner .|$he had a bad feeling in $his tummy .] [$his $elder asked what was wrong , and $hero told $ehim everything . "Tell the truth ," said $his $elder .|"I must tell the truth ," thought $hero .]',
        '[the next day ,|in the morning ,] $hero went to $friend . "I am sorry . I broke your $thing ," $he said . ["I should have told you ."|"It was my mistake ."|"I was not careful ."]',
        '[$friend was sad for a moment .|$friend was quiet for a while .|$friend looked at the $noun .] then $fhe said , ["Thank you for telling me . Let us fix it together ."|"Everyone makes mistakes . You are still my friend ."]',
        "[they used glue and string , and soon the $thing was as good as new .|they worked all day , and at last the $thing was whole again .|together they fixed it , and it was even better than before .]",
        "[$hero felt light as a feather .|$hero felt much better .] [saying sorry is hard , but it makes things right .|the truth may be hard , but it makes the heart light .|it is always good to tell the truth .]",
    ], "$hero the $kind broke $friend's $thing and hid it . Then $he said sorry and told the truth , and they fixed it together ."


def skill(w):
    w.words["do"], w.words["fail"], w.words["win"] = w.rng.choice((
        ("swim", "$he went under and came up with a wet nose", "$he could swim across the whole pond"),
        ("whistle", "only air came out", "a clear little song came out"),
        ("fly a kite", "the kite fell on the ground", "the kite went up , up , up into the blue sky"),
        ("ride a bike", "$he fell over", "$he rode all the way to $near"),
        ("bake bread", "the bread was as hard as a stone", "the bread was soft and golden"),
        ("draw a horse", "it looked like a potato", "it looked like a horse that could run away"),
        ("dance", "$he stepped on $his own feet", "$he turned and turned as light as a leaf"),
        ("read", "the letters would not stay still", "the letters became a story"),
        ("skate on the ice", "$he sat down with a bump", "$he went round and round like the wind")))
    return [
        "[more than anything , $hero wanted to learn to $do .|$hero had one big wish . $He wanted to learn how to $do .|all the others could $do , but $hero could not .]",
        "$time , $he tried it [for the first time|near $near|all alone] , but $fail . [$he tried again , but $fail .|$he tried three more times .|$hero got a bit cross .]",
        '["I will never learn it !" said $hero .|"It is too hard for me ," said $hero .|"Why can I not do it ?" said $hero .] [|$he sat down near $near .|$he kicked a small stone .]',
        '$friend , $a_friend , [saw this|came by|heard $him] . "I could not do it at first , too ," said $friend . ["I will show you how ."|"You need to go slowly ."|"You have to try a little every day ."]',
        "[so they tried together , every day .|$friend showed $him , and $hero tried and tried .|the next day they tried again , and the day after that .] [each time it went a little better .|little by little it went better .|some days were good and some days were bad .]",
        "[and then one day|at last ,|one fine morning ,] $win ! [\"I can do it !\" cried $hero .|\"Look , $friend , look !\" cried $hero .|everyone clapped .]",
        '["I knew you could ," said $friend .|$friend was very proud of $him .|"Hooray !" said $friend .] ' + GLAD,
        "[if you keep trying , you will get there .|every big thing begins with small steps .|nobody can do everything on the first day .|it takes time to learn , and that is all right .]",
    ], "$hero the $kind wanted to learn to $do . At first $fail . $friend helped $him every day , and at last $win ."


def surprise(w):
    return [
        "[it was $hero's birthday .|today was a big day . It was $hero's birthday .] [$He woke up early and ran to the kitchen .|$He jumped out of bed .]",
        '[but nobody said a word about it .|but no one was there .|but everyone was busy .] ["Good morning ," said $his $elder , and that was all .|$his $elder only smiled and went out .]',
        "$hero went to see $friend , $a_friend . [\"I have no time today ,\" said $friend , and closed the door .|but $friend ran away with a box under $fhis arm .]",
        SAD + ' ["They have all forgotten me ," $he thought .|"Nobody knows what day it is ," said $hero .]',
        "[$he walked to $near and sat there all alone .|$he walked and walked until the sun was low .|$he looked at the clouds for a long time .] [then $he went home .|when it got dark , $he went back home .]",
        'the house was dark . $hero opened the door . ["Surprise !" shouted everyone .|all the lights went on . "Happy birthday , $hero !"]',
        "[there was $a_food , and there was $a_thing with a bow on it .|on the table was $a_food , and next to it was $a_thing .] [\"We worked on it all day ,\" said $friend .|$friend gave $him a big hug .]",
        '["I thought you forgot me ," said $hero . "How could we forget you ?" said $friend .|"So that was your secret !" laughed $hero .]',
        "[they sang and danced until late .|they ate and laughed and played .] [it was the best birthday ever .|$hero knew now how much $his friends loved $him .|those who love you do not forget you .]",
    ], "$hero the $kind thought that everyone had forgotten $his birthday . But $friend had made a surprise with $a_food and $a_thing ."


def sharing(w):
    return [
        "$time , $hero's $elder made $a_food . [it smelled so good .|it was still warm .] [\"This is for you ,\" $ehe said .|$Ehe gave it to $hero .]",
        "[$hero wanted to eat it all alone .|\"It is mine , all mine !\" thought $hero .|$hero was very hungry .] [$He took it and sat down near $near .|$He went to $near , where nobody could see $him .]",
        '[then $friend came by . $friend was $a_friend .|there $he met $friend , $a_friend .] ["That smells good ," said $friend .|"Hello , $hero . I am so hungry ," said $friend .|$friend looked at the food with big eyes .]',
        "[$hero looked at the food . There was not so much of it .|$hero did not want to share .|$hero held it close .] [but $friend looked so hungry .|but then $he saw how thin $friend was .|but $he thought of how it feels to be hungry .]",
        '["Here , this half is for you ," said $hero .|"Sit down . We can share ," said $hero .|"There is enough for two ," said $hero .]',
        "[they ate it together , bit by bit .|they sat side by side and ate .] [it tasted even better than $hero had thought .|and it was so much more fun than eating alone .]",
        'then $friend said , ["I have something to share too ."|"Now it is my turn ."|"Come with me ."] [$fHe showed $hero $a_thing .|$fHe had $a_thing , and $fhe let $hero play with it .]',
        "[they played with the $thing all afternoon .|all afternoon they played and laughed .] [from then on , they shared everything .|after that , $hero always kept a piece for $friend .]",
        "[half a cake with a friend is better than a whole cake alone .|what you share tastes twice as good .|when you share , there is more for everyone .]",
    ], "$hero the $kind had $a_food and wanted to eat it alone . Then $he shared it with $friend , and $friend shared $a_thing with $him ."


def garden(w):
    w.words["plant"] = w.rng.choice(("a tall sunflower", "a round pumpkin", "a rose as red as the evening sky", "a little apple tree", "a row of sweet peas"))
    return [
        "$time , $hero found a tiny seed near $near . [\"What are you ?\" asked $hero . But the seed said nothing .|it was brown and round and did not look like much .]",
        '[$he showed it to $his $elder .|$he ran to $his $elder .] "Put it in the ground and give it water ," said $his $elder . ["Then you must wait ."|"And then be patient ."]',
        "so $hero dug a small hole . $He put the seed in and gave it some water . [then $he sat down and waited .|$he sat down next to it and looked .]",
        "[nothing happened .|nothing happened that day .] [the next day , nothing happened .|the day after that , nothing happened .] [\"It does not want to grow ,\" said $hero .|$hero wanted to dig it up and look .]",
        '[$friend , $a_friend , came to look .|$he told $friend , $a_friend , about it .] ["It is working under the ground , where we can not see it ," said $friend .|"Good things take time ," said $friend . "I will wait with you ."]',
        "[they gave it water every day .|every day they gave it water and sang it a song .|when it was hot , they gave it shade .] [and one morning , there was a little green leaf .|then , one day , something green looked out of the ground .]",
        "[it grew and grew .|day by day it grew taller .] [at the end of summer it was $plant .|and one day it was $plant !]",
        '["We did it !" said $hero .|"It was worth it !" said $friend .] ' + GLAD + " [they gave a piece of it to everyone .|everyone came to see it .|all the neighbours came to look .]",
        "[good things need time .|if you wait and care , little things grow big .|even the biggest plant was a little seed once .]",
    ], "$hero the $kind planted a tiny seed and had to wait . $friend helped $him to give it water . In the end it was $plant ."


def race(w):
    return [
        "$time , there was a big race [at $near|from the hill to $near] . [the prize was $a_thing .|the winner would get $a_thing .]",
        "[$hero wanted to win very much .|$hero had trained for many days .|$hero was the fastest of them all .] [$friend , $a_friend , wanted to win too .|next to $him stood $friend , $a_friend .]",
        '["One , two , three , go !"|"Ready , steady , go !"] [They all ran .|Off they went .] [soon $hero was far in front .|$hero ran like the wind .|$hero was first and $friend was second .]',
        "[then $hero heard a cry .|suddenly there was a cry behind $him .] [$friend had fallen over a stone .|$friend lay on the ground and held $fhis leg .]",
        "[$hero could see the end of the race . It was so close .|only a few more steps , and $hero would win .] [but $he stopped .|but $he turned around .]",
        '["Does it hurt ?" asked $hero .|"Can you get up ?" asked $hero .] ["A little bit ," said $friend . "But you will lose the race !"|"Go on ! You can win !" said $friend .] ["You are more important than a race ," said $hero .|"I do not want to win like that ," said $hero .]',
        "$hero helped $friend up , and they walked [side by side|arm in arm] . [they were the very last .|everyone else was there before them .] [but all the others clapped and clapped .|but nobody laughed . Everyone clapped .]",
        '[the winner gave them the $thing . "You are the real winners ," said the winner .|and they both got $a_thing , because they had been so kind .]',
        "[it is good to win , but it is better to be kind .|a friend is worth more than a prize .|to be kind is the best prize of all .]",
    ], "$hero the $kind was winning a race . Then $friend fell , and $hero stopped to help . They came last , but everyone clapped for them ."


def bedtime(w):
    w.words["cure"] = w.rng.choice(("counted the stars until there were too many to count", "listened to the wind in the leaves",
                                    "told the moon about the whole day", "sang a very quiet song", "thought of three good things from the day"))
    return [
        "[one night , $hero could not sleep .|it was late , but $hero was still awake .] [$He turned to the left . $He turned to the right .|$He looked at the ceiling .|$His eyes would not stay closed .]",
        '["I can not sleep ," $he said to $his $elder .|$he went to $his $elder and pulled on $ehis sleeve .] ["Drink some warm milk ," said $his $elder .|"Hold your $thing tight ," said $his $elder .|$his $elder gave $him a kiss on the nose .]',
        "[but it did not help .|$hero tried it , but it did not help .] [$he went to the window and looked out .|so $he looked out of the window .] [the moon was big and round .|the sky was full of stars .]",
        'outside , [under the window|by the wall] , sat $friend , $a_friend . ["Why are you awake ?" asked $friend . "I can not sleep ," said $hero .|"You too ?" asked $friend . "Yes , me too ," said $hero .]',
        '["Let us try something ," said $friend .|"I know a trick ," said $friend . "It always works ."] [so they sat together and $cure .|together they $cure .]',
        "[slowly the night grew soft and quiet .|the world grew very quiet .|a cool wind blew .] [$hero gave a big yawn .|first $friend gave a yawn , and then $hero did too .]",
        '["Good night , $friend ," $he said .|"Good night , moon . Good night , $friend ," said $hero .] [then $he went back to bed and held $his $thing .|$he got into bed and closed $his eyes .]',
        "[and before $he knew it , $hero was asleep .|and soon $hero was dreaming of $a_thing that could fly .|and then there was only the sound of $his breath .]",
        "[the night is not so long when someone is near .|even the moon goes to sleep in the end .|good night , little $kind .]",
    ], "$hero the $kind could not sleep . $friend came to the window , and together they $cure . Then $hero fell asleep ."


def noise(w):
    w.words["sound"], w.words["cause"] = w.rng.choice((
        ("tap , tap , tap", "the $thing , which the wind was knocking on the wall"), ("hoo , hoo", "the wind , which was blowing into an old bottle"),
        ("scratch , scratch", "a baby bird , which had fallen out of its nest"), ("plop , plop", "a hole in the roof , where the rain came in"),
        ("crunch , crunch", "a tiny snail , which was eating a leaf"), ("ding , ding", "a bell , which hung on a lost lamb")))
    return [
        '$time , $hero heard a strange noise . ["$sound ," it went .|it went $sound .|"$sound !"]',
        '["What is that ?" asked $hero .|"Who is there ?" called $hero .] [nobody answered .|but there was only the noise : $sound .|$he listened , and there it was again .]',
        "$hero [ran to|went to get] $friend , $a_friend . [\"Maybe it is a monster ,\" said $friend .|\"Maybe it is a giant ,\" said $friend .|\"Maybe it is a dragon ,\" said $friend .] [they looked at each other with big eyes .|$friend shook a little .]",
        '["There is only one way to know ," said $hero .|"We have to find out ," said $hero .] [$he took $a_thing , just in case .|$he took $a_thing in one hand and $friend in the other .]',
        "[they walked past $near , very slowly .|on tiptoe they went to $near .] [the noise grew louder .|the noise came closer .] [\"$sound ,\" it went .|$sound !]",
        "[$hero looked around the corner .|$friend closed $fhis eyes , but $hero looked .] [then $he began to laugh .|and what did $he see ?] [it was only $cause !|there was no monster at all . It was $cause !]",
        '["So that was our monster !" said $friend .|"And I was so afraid !" said $friend .] [they laughed until their tummies hurt .|now $friend laughed too .]',
        "[then they made everything right again , and it was quiet .|they took care of it , and the noise stopped .] "
        "[if you look closely , most monsters are small .|it is good to look before you run .|things are less scary when you know what they are .]",
    ], "$hero the $kind heard a strange noise : $sound . With $friend $he went to look . It was only $cause ."


def building(w):
    w.words["build"], w.words["why"], w.words["end"] = w.rng.choice((
        ("a bridge", "the water was too deep to cross", "they walked over the bridge , and it did not even shake"),
        ("a tree house", "they wanted to see far over the land", "they sat high up and could see the whole world"),
        ("a raft", "they wanted to sail to the other side", "the raft swam like a duck"),
        ("a little house", "the old snail had no roof when it rained", "the snail moved in and was very happy"),
        ("a swing", "they wanted to fly like birds", "the swing went up so high that they could touch the leaves"),
        ("a snowman", "the snow was fresh and deep", "the snowman had a carrot nose and a friendly smile")))
    return [
        "$time , $hero and $his friend $friend , $a_friend , had a plan . They wanted to build $build [near $near|] , because $why .",
        "[$hero wanted to make it big . $friend wanted to make it small .|$hero wanted to begin at the top . $friend wanted to begin at the bottom .|$hero wanted to do it all alone , and so did $friend .]",
        '["My way is better !" said $hero . "No , my way is better !" said $friend .|"You do it wrong !" said $friend . "No , you do !" said $hero .] [they got very cross .|they did not look at each other any more .]',
        "[so each of them worked alone .|each of them began alone .] [soon everything fell down with a crash .|but one could not hold it and tie it at the same time .|crash ! It all fell down .]",
        "[$hero looked at $friend . $friend looked at $hero . Then they both had to laugh .|they sat in the mess and were quiet . Then $hero began to smile .]",
        '["I am sorry ," said $hero . "Your idea was good , too ."|"Let us do it together ," said $hero .] ["You hold it and I will tie it ," said $friend .|"Yes , two heads are better than one ," said $friend .]',
        "[now the work went fast .|together it was easy .] [by the evening it was done .|when the sun went down , it was done .]",
        "[they tied $a_thing to the top .|they put $a_thing on it , so that everyone could see it .] [and $end .|then $end .]",
        "[together you can build what you can not build alone .|work is lighter when you share it .|it is good to listen to a friend .]",
    ], "$hero the $kind and $friend wanted to build $build , and each wanted to do it alone . It fell down . Then they worked together , and $end ."


PLOTS = {plot.__name__: plot for plot in (lost, friendship, helping, fear, gift, storm, mistake, skill, surprise, sharing,
                                          garden, race, bedtime, noise, building)}


class Story:
    """A told story: `text`, `short` (its two-sentence retelling) and the `words` of its cast."""

    def __init__(self, rng: random.Random, plot: str | None = None, kind: str | None = None, thing: str | None = None):
        world = World(rng, kind, thing)
        words = world.words
        self.plot = plot or rng.choice(list(PLOTS))
        words["fHe"] = words["fhe"].capitalize()
        words["thing_hint"] = choose(rng, "[|small|bright|by the path]")
        steps, short = PLOTS[self.plot](world)
        for key, value in words.items():  # a word of the plot may itself name the cast
            words[key] = re.sub(r"\$(\w+)", lambda m: words[m[1]], value)
        opening = rng.choices([o for o, _ in OPENINGS], [n for _, n in OPENINGS])[0]
        first = [opening] + ([LIVED] if "$place" not in opening and rng.random() < 0.6 else []) + [HABIT] + steps[:1]
        middle, last = steps[1:-2], steps[-2:]
        cut = len(middle) // 2 + rng.randint(0, 1)
        paragraphs = [first, middle[:cut], middle[cut:] + (last if rng.random() < 0.3 else [])]
        if len(paragraphs[2]) == len(middle) - cut:
            paragraphs.append(last)
        self.text = "\n\n".join(" ".join(filter(None, map(world.tell, p))) for p in paragraphs)
        self.text = sentences(self.text)
        self.short = sentences(world.tell(short))
        self.moral = self.text.split(". ")[-1].split("! ")[-1].split("\n")[-1]
        self.words = words


def sentences(text: str) -> str:
    """Capital letters where a sentence begins. After !" or ?" the sentence may run on: "Why ?" asked the fox."""
    return re.sub(r'([.!?]\s+"?|\."\s+|\n")([a-z])', lambda m: m[1] + m[2].upper(), text)


def stories(seed: int):
    """Stories without end; the same seed gives the same ones."""
    rng = random.Random(seed)
    while True:
        yield Story(rng)


def main() -> None:
    cli = argparse.ArgumentParser(description="Write little stories.")
    cli.add_argument("--count", type=int, default=3)
    cli.add_argument("--seed", type=int, default=1)
    cli.add_argument("--plot", choices=sorted(PLOTS))
    cli.add_argument("--stats", action="store_true", help="how long and how varied 20,000 of them are")
    args = cli.parse_args()
    rng = random.Random(args.seed)
    if args.stats:
        told = [Story(rng, args.plot).text for _ in range(20000)]
        lengths = sorted(len(t.split()) for t in told)
        print(f"distinct {len(set(told))} of {len(told)}; words: shortest {lengths[0]}, median {lengths[len(told) // 2]}, "
              f"longest {lengths[-1]}; different words {len({x for t in told for x in re.findall(r'[A-Za-z]+', t)})}")
        return
    for _ in range(args.count):
        story = Story(rng, args.plot)
        print(f"--- {story.plot}\n{story.text}\n\nIn short: {story.short}\n")


if __name__ == "__main__":
    main()
