#!/usr/bin/env python3
"""What Python makes of chat templates: crates/lucid/tests/golden/templates.json.

    python3 -m venv venv && venv/bin/pip install transformers==5.* jinja2==3.1.6
    venv/bin/python scripts/make_template_goldens.py ../shared/fixtures/chat/templates > crates/lucid/tests/golden/templates.json

Two parts. `snippets`: small templates, each for one thing that Jinja or Python does, with the text they become, or `null`
where they fail, or `{"raises": …}` where they call raise_exception. `fixtures`: for every template of the fixtures and
every conversation here, the FNV-1a hash of the text that it becomes (`null` and `raises` as above). Rendered by transformers' own environment, with the
time fixed. Takes a few seconds.
"""

import json
import sys
from datetime import datetime
from pathlib import Path

import jinja2
from transformers.utils import chat_template_utils

NOW = datetime(2026, 1, 2, 3, 4, 5)

VARIABLES = {
    "n": 7,
    "neg": -7,
    "x": 2.5,
    "s": "Hello, World",
    "empty": "",
    "uni": "grüße 世界 🦀",
    "quotes": "it's \"quoted\"\n\t\\",
    "html": "<b>&'\"</b>",
    "nil": None,
    "yes": True,
    "no": False,
    "l": [3, 1, 2],
    "words": ["pear", "Apple", "fig"],
    "mixed": [1, "a", None, 2.0, True, [1], {"k": "v"}],
    "d": {"b": 1, "a": [1, 2], "C": {"deep": "x"}, "items": "shadow"},
    "users": [
        {"name": "Ann", "age": 30, "tags": ["x", "y"], "on": True},
        {"name": "bob", "age": 25, "tags": [], "on": False},
        {"name": "Cyd", "age": 30, "tags": ["y"], "on": True},
    ],
    "tree": [{"v": 1, "kids": [{"v": 2, "kids": []}, {"v": 3, "kids": [{"v": 4, "kids": []}]}]}],
}

# One line, one template. What follows shows every line of it that is not empty.
EXPRESSIONS = r"""
1 + 2 * 3 - 4
2 ** 3 ** 2
-2 ** 2
(-2) ** 2
2 ** -1
7 / 2
7 // 2
-7 // 2
7 // -2
7 % 3
-7 % 3
7 % -3
7.5 // 2
-7.5 % 2
7.5 % -2
6 / 3
1e3
1.5e-7
1e16
123456789012345678.0
0.1 + 0.2
1e22
-0.0
100000000000000000000 + 1
1_000 + 0x1f + 0b11 + 0o17
1 / 0
1 // 0
1.0 % 0
'a' + 1
1 + none
none + 1
true + true
true + 1.5
'ab' * 3
3 * 'ab'
[1, 2] * 2
(1,) * 2
'ab' * -1
[1] + [2]
(1, 2) + (3,)
[1] + (2,)
-true
+x
-'a'
1 < 2 < 3
1 < 2 > 3
1 == 1.0
true == 1
'1' == 1
none == none
[1, [2]] == [1, [2]]
{'a': 1, 'b': 2} == {'b': 2, 'a': 1}
(1, 2) == [1, 2]
'a' < 'b'
'Z' < 'a'
[1, 2] < [1, 3]
[1] < ['a']
1 < 'a'
none < 1
l < [3, 2]
'ell' in s
'x' not in s
1 in 'abc'
2 in l
'b' in d
'shadow' in d
'shadow' in d.values()
('b', 1) in d.items()
1 in none
1 in 5
3 in range(5)
[] in d
not 1
not not ''
1 and 2
0 and 2
0 or 'x'
none or empty or 5
1 if yes else 2
1 if no else 2
'x' if no
('x' if no) is defined
1 if no else 2 if no else 3
'a' ~ 1 ~ none ~ true ~ 2.0 ~ [1, 'x']
1 ~ 2 + 3
'a' ~ missing ~ 'b'
missing
missing.attr
missing['a']
missing()
missing + 1
missing == missing
missing == none
missing < 1
missing | length
missing | list
missing is defined
missing is none
d.missing is defined
d.missing.more
d['missing'] | default('x')
d.missing + 'x'
none.x
none.x.y
n.x
5['a']
l[0] + l[-1]
l[10]
l[10] is defined
l[10] + 1
l['0']
s[0] ~ s[-1]
s[100]
uni[6] ~ uni[-1]
l[1:]
l[:-1]
l[::-1]
l[::2]
l[5:1:-1]
l[-100:100]
l[2:0:-1]
s[::-1]
s[7:]
s[-5:-2]
s[::3]
uni[-3:]
s[none:2]
s[::0]
(1, 2, 3)[1:]
range(10)[2:8:3]
range(10)[::-1] | list
range(5)[-1]
range(3)
range(1, 10, 3) | list
range(5, 0, -2) | list
range(0) | list
range(3) | length
range(1, 2, 0)
range('a')
d.items()
d['items']
d.keys()
d.values() | list
d.keys() | list
d.keys()[0] is defined
d.get('b')
d.get('z')
d.get('z', 5)
d.get('z') is none
d.C.deep
d['C']['deep']
d.a.0
d.a.1 + 1
{'a': 1}.a
{1: 'x', 'y': 2}
{1: 'x'}[1]
{1: 'x'}[1.0]
{1: 'x'}[true]
{[1]: 2}
{'a': 1, 'a': 2}
[1, 'a', none, true, 2.5, [], {}, ()]
(1,)
()
1, 2
quotes
[quotes]
['\'']
['"']
['\'"']
['\u200b\x00\xa0é🦀\ud7ff']
[html]
uni
[uni]
mixed
d
"a" 'b' "c"
'\x41\u00e9\n\t\\\'\"\q'
'line\
cont'
"\101\7"
x is float
n is integer
yes is integer
yes is number
n is number
s is string
s is sequence
l is sequence
d is sequence
d is mapping
l is mapping
l is iterable
s is iterable
n is iterable
none is iterable
missing is iterable
range(3) is sequence
(l | map('string')) is sequence
(l | map('string')) is iterable
n is odd
n is even
n is divisibleby(7)
n is divisibleby 7
x is odd
'a' is odd
1 is eq 1
1 is equalto(2)
1 is ne 2
1 is lt 2
3 is gt(2)
3 is ge 3
2 is in [1, 2]
2 is not in [1, 2]
2 is in l and 5 is not in l
none is none
none is not none
yes is true
1 is true
no is false
0 is false
yes is boolean
1 is boolean
'abc' is lower
'ABC' is upper
'Abc' is lower
'upper' is filter
'nope' is filter
'odd' is test
none is sameas none
l is sameas l
[1] is sameas [1]
range is callable
s is callable
s.upper is callable
('a' | safe) is escaped
s is nosuchtest
not n is odd
n is odd and s is string
n is defined or missing.x
s | upper
s | lower
'hello world-foo (bar)' | title
'hELLO wORLD' | capitalize
'  x  ' | trim
'xxabxx' | trim('x')
5 | trim
none | upper
s | length
l | count
d | length
n | length
uni | length
(l | map('string')) | length
s | replace('l', 'L')
s | replace('l', 'L', 1)
'aaa' | replace('', '-')
5 | replace('5', 'x')
s | reverse
l | reverse | list
l | first
l | last
s | first
s | last
[] | first
[] | first is defined
d | first
l | sort
l | sort(reverse=true)
words | sort
words | sort(case_sensitive=true)
[1, 'a'] | sort
users | sort(attribute='age') | map(attribute='name') | join(',')
users | sort(attribute='age', reverse=true) | map(attribute='name') | join(',')
users | sort(attribute='age,name') | map(attribute='name') | join(',')
['b', 'A', 'a', 'B'] | sort
l | join
l | join(', ')
l | join(0)
mixed | join('|')
users | join(', ', attribute='name')
users | map(attribute='name') | list
users | map(attribute='tags.0') | list
users | map(attribute='nope') | list
users | map(attribute='nope', default='?') | list
words | map('upper') | list
words | map('replace', 'p', 'P') | list
l | map('string') | join
l | map('nofilter') | list
users | selectattr('on') | map(attribute='name') | list
users | rejectattr('on') | map(attribute='name') | list
users | selectattr('age', 'equalto', 30) | list | length
users | selectattr('age', 'gt', 26) | map(attribute='name') | join('/')
users | selectattr('nope', 'undefined') | list | length
users | selectattr('name', 'in', ['Ann', 'bob']) | list | length
users | selectattr('age', '>=', 30) | first
l | select('odd') | list
l | reject('odd') | list
[0, 1, '', 'a', none] | select | list
mixed | select('string') | list
l | select('divisibleby', 3) | list
(l | select) and 1
(users | selectattr('nope')) | list
users | groupby('age') | list | length
users | groupby('age')
(users | groupby('age'))[0].grouper
(users | groupby('age') | last).list | map(attribute='name') | list
users | groupby('tags.0', default='none') | map(attribute='grouper') | list
d | dictsort
{'b': 1, 'A': 2, 'c': 0} | dictsort
{'b': 1, 'A': 2, 'c': 0} | dictsort(true)
{'b': 1, 'A': 2, 'c': 0} | dictsort(by='value')
{'b': 1, 'A': 2, 'c': 0} | dictsort(reverse=true)
d | items | list
missing | items | list
l | items | list
[1, 1, 2, 'a', 'A', 1.0] | unique | list
users | unique(attribute='age') | map(attribute='name') | list
l | min
l | max
words | max
[] | max
users | max(attribute='age')
users | min(attribute='name')
l | sum
users | sum(attribute='age')
l | sum(start=10)
['a'] | sum
[[1], [2]] | sum(start=[])
range(7) | batch(3) | list
range(7) | batch(3, 'x') | list
range(7) | slice(3) | list
range(7) | slice(3, 'x') | list
'abc' | list
d | list
5 | list
'5' | int
'5.7' | int
'abc' | int
'abc' | int(9)
'0x1f' | int(base=16)
'ff' | int(0, 16)
' 12 ' | int
'1_000' | int
none | int
5.9 | int
-5.9 | int
true | int
missing | int
'1.5' | float
'abc' | float
'1e3' | float
'inf' | float
'nan' | float
5 | float
2.5 | round
3.5 | round
2.567 | round(2)
2.567 | round(1, 'floor')
2.511 | round(1, 'ceil')
7 | round
1234 | round(-2)
1250.0 | round(-2)
0.1 | round(20)
2.675 | round(2)
-2.5 | round
'a' | round
-5 | abs
-2.5 | abs
'a' | abs
s | wordcount
uni | wordcount
s | center(20)
s | center(21) ~ '|'
'ab' | center(5) ~ '|'
'a b c d e f g h' | truncate(9)
'a b c d e f g h' | truncate(9, true)
'a b c d e f g h' | truncate(9, false, '~', 0)
'short' | truncate(3)
'a\nb\n\nc' | indent
'a\nb\n\nc' | indent(2, true)
'a\nb\n\nc' | indent(2, true, true)
'a\nb' | indent('> ')
'a\nb\n' | indent(1) ~ '|'
'' | indent(2, true) ~ '|'
5 | indent
'%s is %d' | format('x', 5)
'%(a)s' | format(a=1)
missing | default('x')
none | default('x')
none | default('x', true)
empty | default('x', boolean=true)
missing | d(5)
no | default(1)
s | string
5 | string ~ 1
missing | string ~ '|'
none | string
l | string
1000 | filesizeformat
1 | filesizeformat
1500000 | filesizeformat
1500000 | filesizeformat(true)
s | attr('upper') is callable
d | attr('b') is defined
l | nosuchfilter
html | e
html | escape | e
html | safe
('<' | safe) + '<'
'<' + ('<' | safe)
('<' | safe) ~ '<'
('<' | safe) * 2
('%s' | safe) % '<'
('<' | safe) | upper + '<'
('<' | safe) | length
('a,<' | safe).split(',')[1] + '<'
[('<' | safe), '<'] | join
('<' | safe) == '<'
html | forceescape
s | tojson
d | tojson
mixed | tojson
quotes | tojson
uni | tojson
uni | tojson(ensure_ascii=true)
html | tojson
1.0 | tojson
1e100 | tojson
none | tojson
(1, 2) | tojson
{1: 2, none: 3, true: 4, 2.5: 1} | tojson
{(1, 2): 3} | tojson
d | tojson(indent=2)
d | tojson(indent=0)
d | tojson(indent='--')
[] | tojson(indent=2)
{} | tojson(indent=2)
[[], {}] | tojson(indent=1)
d | tojson(separators=(',', ':'))
d | tojson(sort_keys=true)
{'b': 1, 'a': 2, 'é': 3} | tojson(sort_keys=true)
d | tojson(indent=2, separators=(', ', ' = '))
missing | tojson
range(3) | tojson
d.items() | tojson
'\x00\x1f\x7f\u2028' | tojson
'\x7f🦀' | tojson(ensure_ascii=true)
('<' | safe) | tojson
'inf' | float | tojson
s.upper()
s.lower().title()
s.split()
s.split(', ')
s.split('o', 1)
'  a  b  c '.split()
'  a  b  c '.split(none, 1)
'  a  b  c '.rsplit(none, 1)
'a,b,,c'.split(',')
'a,b,,c'.rsplit(',', 1)
'a,b,c'.split(',', maxsplit=1)
''.split()
''.split(',')
s.split('')
'a\nb\r\nc\rd\x0be'.splitlines()
'a\nb\n'.splitlines(true)
''.splitlines()
'  x '.strip() ~ '|'
'  x '.lstrip() ~ '|'
'  x '.rstrip() ~ '|'
'<think>x'.lstrip('<think>')
'xyx'.strip('x')
'\n\t x \u00a0\u3000'.strip() ~ '|'
s.startswith('Hell')
s.startswith(('x', 'H'))
s.startswith('llo', 2)
s.startswith('')
s.endswith('ld')
s.endswith(('x', 'y'))
s.endswith(5)
s.find('o')
s.find('o', 5)
s.find('z')
s.rfind('o')
s.index('z')
uni.find('世')
s.find('', 3)
s.find('', 100)
s.count('l')
'aaa'.count('aa')
'abc'.count('')
s.replace('l', '')
s.replace('l', 'LL', 2)
'aaa'.replace('a', 'b', 0)
'-'.join(['a', 'b'])
'-'.join(words)
'-'.join('abc')
'-'.join([1])
'-'.join(d)
'ab'.center(5, '*')
'abc'.center(6, '*')
'ab'.ljust(5) ~ '|'
'ab'.rjust(5, '.')
'ab'.rjust(5, 'xx')
'42'.zfill(5)
'-42'.zfill(5)
'a=b=c'.partition('=')
'a=b=c'.rpartition('=')
'abc'.partition('=')
'abc'.rpartition('=')
'TestCase'.removeprefix('Test')
'TestCase'.removesuffix('Case')
'TestCase'.removesuffix('Test')
'a\tb'.expandtabs(4)
'aBc'.swapcase()
"they're bill's".title()
'ǆ straße ŉ'.upper()
'ΑΣ'.lower()
'Straße'.casefold()
'hello'.capitalize()
'123'.isdigit()
'12a'.isdigit()
''.isdigit()
'½'.isnumeric()
'abc'.isalpha()
'ab1'.isalnum()
'  '.isspace()
''.isspace()
'Ab Cd'.istitle()
'abc'.islower()
'ABC1'.isupper()
'a_b1'.isidentifier()
'1a'.isidentifier()
'a\n'.isprintable()
'é'.isascii()
s.nosuch()
s.nosuch is defined
l.index(2)
l.count(3)
l.index(9)
l.append(4)
l.append is defined
l.pop()
d.update({'x': 1})
d.pop('b')
d.setdefault('x', 1)
(1, 2, 1).count(1)
d.copy() == d
n.bit_length()
(2.0).is_integer()
s.__class__
s.__class__.__name__
''.__class__.__mro__
'{} {}'.format('a', 1)
'{0} {1} {0}'.format('a', 1)
'{a} {b!r}'.format(a=1, b='x')
'{:>8}|{:<8}|{:^8}|{:*^8}'.format('a', 'b', 'c', 'd')
'{:05d} {:+d} {: d} {:,} {:x} {:#x} {:b} {:o}'.format(42, 42, 42, 1234567, 255, 255, 5, 8)
'{:.2f} {:8.3f} {:e} {:g} {:%} {:.1%}'.format(3.14159, 2.5, 12345.678, 0.0001, 0.5, 0.256)
'{:g} {:g} {:g} {:g}'.format(1e10, 123456789.0, 1e-5, 100000.0)
'{:.3} {:.0f} {:.1f}'.format(3.14159, 2.5, 0.25)
'{:10}|{:<10}|'.format(5, 5)
'{:10}|'.format('abc')
'{:.2}'.format('abc')
'{{}} {{{}}}'.format(1)
'{0[a]} {1.b}'.format({'a': 1}, {'b': 2})
'{0[0]}'.format([5])
'{:{}}|'.format('x', 5)
'{:{w}.{p}f}'.format(3.14159, w=8, p=2)
'{}'.format(none)
'{}'.format([1, 'a'])
'{:5}'.format(none)
'{} {}'.format(1)
'{a}'.format(b=1)
'{'.format(1)
'}'.format(1)
'{0} {}'.format(1, 2)
'{:d}'.format('a')
'{:d}'.format(1.5)
'{!x}'.format(1)
'{:s}'.format('a')
'{:c}'.format(65)
'{:_}'.format(1234567)
'{:,.2f}'.format(1234567.891)
'{:+}'.format(2.0)
'{}'.format(true)
'{:d}'.format(true)
'{a[b][c]}'.format_map({'a': {'b': {'c': 1}}})
'{0.__class__}'.format(s)
'%s %s' % ('a', 1)
'%s' % 'a'
'%s' % [1, 2]
'%d' % 5.7
'%5d|%-5d|%05d|%+d' % (1, 2, 3, 4)
'%5.1f|%.3f|%e|%g|%G' % (1.25, 2.0, 12345.678, 1e-10, 1e-10)
'%x %X %o %#x' % (255, 255, 8, 255)
'%5s|%-5s|%.2s' % ('a', 'b', 'cde')
'%r' % 'a'
'%%'  % ()
'100%%' % ()
'%(a)s %(b)d' % {'a': 'x', 'b': 5}
'%(z)s' % {'a': 1}
'%s %s' % ('a',)
'%s' % ('a', 'b')
'%d' % 'a'
'%c%c' % (65, 'b')
'%*d' % (5, 1)
'%.*f' % (2, 3.14159)
'%s' % none
'%s' % missing
'abc' % ()
'abc' % 1
'abc' % [1]
'%y' % 1
'%' % 1
'%.3d' % 5
'%i' % -3
dict(a=1, b=2)
dict([('a', 1), ('b', 2)])
dict({'a': 1}, b=2)
namespace(a=1).a
namespace({'a': 1}, b=2).b
namespace(a=1).c is defined
namespace(_a=1)
cycler('a', 'b').next()
raise_exception('own words')
raise_exception(5)
strftime_now('%Y-%m-%d %H:%M:%S')
strftime_now('%d %b %Y, %A %j %p %I %y %B %a')
range(3, none)
range(100001) | length
range(100000) | length
(1, 2) is sequence
[1, 2, 3] | map('add', 1) | list
nosuchfunction()
s()
n()
[].x
''.x.y
10 | string | length
'a' if missing else 'b'
'a' if missing is defined and missing.x else 'b'
[1, 2,]
{'a': 1,}
(1, 2,)
[x * 2
1 +
'abc
1 2
s upper
{{ 1
%
"""

BLOCKS = r"""
{% for i in l %}{{ i }},{% endfor %}
----
{% for i in l %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/{{ loop.first }}/{{ loop.last }}/{{ loop.length }}/{{ loop.depth }};{% endfor %}
----
{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}
----
{% for i in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}
----
{% for i in [1, 1, 2, 2, 1] %}{{ loop.changed(i) }},{{ loop.cycle('a', 'b') }};{% endfor %}
----
{% for i in [] %}x{% else %}none{% endfor %}
----
{% for i in l if i > 1 %}{{ loop.index }}:{{ i }}/{{ loop.length }} {% endfor %}
----
{% for i in l if i > 5 %}x{% else %}nothing{% endfor %}
----
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
----
{% for k in d %}{{ k }},{% endfor %}
----
{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}
----
{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}
----
{% for c in 'añ' %}[{{ c }}]{% endfor %}
----
{% for x in none %}{% endfor %}
----
{% for x in 5 %}{% endfor %}
----
{% for x in missing %}a{% else %}b{% endfor %}
----
{% for i in range(5) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}
----
{% for i in range(3) %}{% for j in range(3) %}{% if j == 1 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{% endfor %}
----
{% for i in [1, 2] %}{% for j in [3, 4] %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}
----
{% for i in [1, 2] %}{% set outer = loop %}{% for j in [3, 4] %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}
----
{% for node in tree recursive %}{{ node.v }}@{{ loop.depth }}{% if node.kids %}({{ loop(node.kids) }}){% endif %} {% endfor %}
----
{% for i in l %}{{ loop(l) }}{% endfor %}
----
{{ loop }}
----
{{ loop is defined }}
----
{% break %}
----
{% set a = 1 %}{% for i in l %}{% set a = i %}{% endfor %}{{ a }}
----
{% set ns = namespace(a=1) %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}
----
{% set ns.x = 1 %}
----
{% set d.x = 1 %}
----
{% set ns = namespace() %}{% set ns.x, y = 1, 2 %}{{ ns.x }}{{ y }}
----
{% for i in [1, 2] %}{{ a is defined }}{% set a = i %}{{ a }};{% endfor %}
----
{% if yes %}{% set a = 1 %}{% endif %}{{ a }}
----
{% if no %}{% set a = 1 %}{% endif %}{{ a is defined }}
----
{% set a, b = 1, 2 %}{{ a }}{{ b }}
----
{% set (a, b) = [1, 2] %}{{ a }}{{ b }}
----
{% set a, b = [1] %}
----
{% set a = 1, 2 %}{{ a }}
----
{% set n = n + 1 %}{{ n }}
----
{% set a %}x{{ n }}y{% endset %}{{ a }}{{ a | length }}
----
{% set a | upper | replace('X', 'z') %}x{{ n }}y{% endset %}{{ a }}
----
{% set a %}{% set b = 5 %}{% endset %}{{ b is defined }}
----
{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}
----
{% with n = 1, m = n %}{{ m }}{% endwith %}
----
{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}
----
{% filter upper %}abc{{ s }}{% endfilter %}
----
{% filter replace('a', 'b') | upper %}abc{% endfilter %}
----
{% if n > 5 %}big{% elif n > 3 %}mid{% else %}small{% endif %}
----
{% if no %}a{% elif nil %}b{% elif l %}c{% endif %}
----
{% if missing %}a{% else %}b{% endif %}{% if missing.x %}{% endif %}
----
{% macro m(a, b=2, c=a) %}[{{ a }},{{ b }},{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 5) }}{{ m(b=1, a=9) }}{{ m(1, c=3) }}
----
{% macro m(a) %}{{ a }}|{{ a is defined }}{% endmacro %}{{ m() }}
----
{% macro m(a) %}{{ a.x }}{% endmacro %}{{ m() }}
----
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
----
{% macro m(a) %}{% endmacro %}{{ m(b=2) }}
----
{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}
----
{% macro m(a) %}{{ a }}{{ varargs }}{% endmacro %}{{ m(1, 2, 3) }}
----
{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in {{ n }}{% endcall %}
----
{% macro m(l) %}{% for i in l %}{{ caller(i, loop.index) }}{% endfor %}{% endmacro %}{% call(x, y) m(l) %}{{ x }}:{{ y }} {% endcall %}
----
{% macro m() %}{% if caller %}yes{% else %}no{% endif %}{% endmacro %}{{ m() }}{% call m() %}{% endcall %}
----
{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}
----
{% macro m() %}{{ later }}{% endmacro %}{% set later = 5 %}{{ m() }}
----
{% macro m() %}{{ i }}{% endmacro %}{% for i in [1, 2] %}{{ m() }}{% endfor %}|
----
{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}
----
{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
----
{% macro m() %}{% set q = 1 %}{% endmacro %}{{ m() }}{{ q is defined }}
----
{% macro m() %} x {% endmacro %}{{ m() | trim }}{{ m() ~ '|' }}{{ m() | length }}
----
{% macro outer() %}{% macro inner() %}i{{ n }}{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}
----
{% macro m(a, a2=1, a3) %}{% endmacro %}
----
{% macro m(x) %}{{ x }}{% endmacro %}{% set f = m %}{{ f(3) }}{{ m.name }}
----
{% macro m(a) -%} {{ a }} {%- endmacro %}{{ [1, 2] | map('string') | map('upper') | join }}{{ m(*[4]) }}{{ m(**{'a': 5}) }}
----
{% set ns = namespace(f=none) %}{% for i in [1, 2] %}{% macro g() %}g{{ i }}{% endmacro %}{% if loop.first %}{% set ns.f = g %}{% endif %}{% endfor %}{{ ns.f is callable }}
----
{% generation %}a{{ n }}{% endgeneration %}
----
{% for m in l %}{% generation %}{{ m }}{{ loop.index }}{% endgeneration %}{% endfor %}
----
{% raw %}{{ x }}{% if %}{% endraw %}|{{ x }}
----
a {# comment {{ x }} #} b
----
{#- c -#} a {#- c -#} b
----
  {% if yes %}
  a
  {% endif %}
b
----
  {{ n }}
  {{- n -}}
  x
----
a
    {%- if yes %}
    b
    {%- endif %}
c
----
a
    {%+ if yes %}b{% endif %}
c
----
a {% if yes -%}
   b
{%- endif %} c
----
a
{% set q = 1 %}

b
----
a {% set q = 1 %} b
----
{% for i in l %}
  {{ i }}
{% endfor %}
end
----
{% for i in l -%}
  {{ i }}
{%- endfor %}

end
----
a
  {# c #}
b
  {#+ c #}
d
----
{{ "a" }}
{{ "b" }}

----
{%- raw -%}  x  {%- endraw -%}  y
----
{% raw %}
 x
{% endraw %}
 y
----
	{% if yes %}	tab
	{% endif %}
----
x{% if yes +%}
y{% endif %}
----
{{ '{{' }}{{ '%}' }}{{ "}}" }}
----
{{ {'a': {'b': 1}}['a']['b'] }}{{ {'a': {'b': 1}} }}
----
{%if yes%}x{%endif%}{%-if no-%}y{%-endif-%}
----
{{n}}{{-n}}{{- n -}}
----
{% block b %}in{{ n }}{% endblock %}{% block c %}{% set z = 1 %}{% endblock c %}{{ z is defined }}
----
{% print(n) %}
----
{% if yes %}unclosed
----
{% endif %}
----
{% unknown %}
----
{{ n
----
{% if n %}
----
{# unclosed
----
{{ (1 }}
----
{{ [1) }}
----
{% set gen = words | map('upper') %}{{ gen | list }}{{ gen | list }}
----
{% set gen = words | map('upper') %}{{ gen | first }}{{ gen | list }}
----
{% if [] | select %}truthy{% endif %}
----
{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}
----
{% set j = joiner(', ') %}{% for i in l %}{{ j() }}{{ i }}{% endfor %}
----
{% set ns = namespace(x=[]) %}{% for i in l %}{% set ns.x = ns.x + [i * 2] %}{% endfor %}{{ ns.x }}
----
{% set msgs = [{'role': 'user', 'content': 'hi'}] %}{% for m in msgs %}{{ m.role ~ ': ' ~ m['content'] }}{% endfor %}
----
{% for i in [3, 2, 1] | sort %}{{ i }}{% endfor %}
----
{% for k, v in d | dictsort %}{{ k }}{% endfor %}
----
{% for k, v in d | items %}{{ loop.index }}{{ k }}{{ loop.last }}{% endfor %}
----
{% for g in users | groupby('age') %}{{ g.grouper }}:{{ g.list | length }} {% endfor %}
----
{% for age, us in users | groupby('age') %}{{ age }}:{{ us | map(attribute='name') | join(',') }} {% endfor %}
----
{% for i in l recursive %}{{ i }}{% endfor %}
----
{{ raise_exception('Roles must alternate: ' ~ n) }}
----
{% if n == 7 %}{{ raise_exception("é <b>") }}{% endif %}
----
{% set x %}{{ missing }}{% endset %}[{{ x }}]
----
{% set true = 1 %}
----
{% for true in l %}{% endfor %}
----
{% include 'x' %}
----
{% for i in l %}{{ i }}{% if not loop.last %}, {% endif %}{% endfor %}
----
{% for i in range(2) %}{% for j in range(2) %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}{% endfor %}
----
{% call s.upper() %}x{% endcall %}
----
{% set a = [1] %}{% set b = a %}{{ a is sameas b }}
----
{%- set ns = namespace(is_first=false, is_tool=false) -%}{%- for m in users -%}{%- if m.on and not ns.is_first -%}{%- set ns.is_first = true -%}{{ m.name }}{%- endif -%}{%- endfor -%}
----
{{ '<a>' ~ "\n" ~ 'b' }}
----
{{ users[0].name }}{{ users[0]['tags'][0] }}{{ users[-1].name[0] }}{{ (users | first).name }}
----
{{ users[0].tags | length > 1 and users[1].tags | length == 0 }}
----
{{ -1 | abs }}{{ 2 + 3 | string }}
----
{{ l.0 }}{{ l.1.nothing is defined }}
"""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather <now> & \"here\"",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "A city, e.g. Zürich"},
                    "unit": {"type": "string", "enum": ["C", "F"]},
                    "days": {"type": "array", "items": {"type": "integer"}},
                },
                "required": ["city"],
            },
        },
    }
]


def call(arguments):
    function = {"name": "get_weather", "arguments": arguments}
    return {"role": "assistant", "content": "", "tool_calls": [{"id": "abcdef123", "type": "function", "function": function}]}


def user(content):
    return {"role": "user", "content": content}


CONVERSATIONS = {
    "plain": {"messages": [user("Hi"), {"role": "assistant", "content": " Hello "}, user("Who are\nyou?")]},
    "system": {"messages": [{"role": "system", "content": "Be brief."}, user("Hi")]},
    "tools": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            user("Weather?"),
            call({"city": "Zürich", "days": [1, 2]}),
            {"role": "tool", "name": "get_weather", "tool_call_id": "abcdef123", "content": "{\"temp\": 20.5}"},
            {"role": "assistant", "content": "20.5 °C"},
            user("Thanks"),
        ],
        "tools": TOOLS,
    },
    "tools as text": {
        "messages": [
            user("Weather?"),
            call("{\"city\": \"Zürich\"}"),
            {"role": "tool", "name": "get_weather", "tool_call_id": "abcdef123", "content": "sunny"},
        ],
        "tools": TOOLS,
    },
    "thinking": {
        "messages": [
            user("2+2?"),
            {"role": "assistant", "reasoning_content": "easy", "content": "4"},
            user("3+3?"),
            {"role": "assistant", "content": "<think>\nhm\n</think>\n\n6"},
            user("ok"),
        ],
        "extra": {"enable_thinking": False},
    },
    "parts": {
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "sys"}]},
            {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image"}]},
        ]
    },
    "documents": {
        "messages": [user("Find it")],
        "documents": [{"title": "One", "text": "first"}, {"title": "Two", "text": "second"}],
        "extra": {"add_generation_prompt": False, "enable_thinking": True, "reasoning_effort": "high"},
    },
    "nobody": {"messages": []},
}


def compiled(source):
    template = chat_template_utils._compile_jinja_template(source)
    template.environment.filters["from_json"] = json.loads  # the one filter that Lucid has and transformers has not
    template.environment.globals["strftime_now"] = lambda format: NOW.strftime(format)
    return template


def outcome(render):
    try:
        return render()
    except jinja2.TemplateError as error:
        if type(error) is jinja2.TemplateError:
            return {"raises": str(error.message)}
        return None
    except Exception:
        return None


def fnv(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return f"{h:016x}"


def snippets():
    expressions = EXPRESSIONS.replace("\\\ncont", "\\\0cont").strip("\n").split("\n")
    sources = ["{{ " + line.replace("\0", "\n") + " }}" for line in expressions if line]
    sources += [block.removeprefix("\n").removesuffix("\n") for block in BLOCKS.split("----")]
    for source in sources:
        yield source, outcome(lambda: compiled(source).render(**VARIABLES))


def fixtures(folder):
    for path in sorted(Path(folder).glob("*.jinja")):
        results = {}
        for name, c in CONVERSATIONS.items():
            kwargs = {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True, **c.get("extra", {})}
            arguments = ([c["messages"]], c.get("tools"), c.get("documents"), path.read_text())

            def render():
                compiled(path.read_text())
                return chat_template_utils.render_jinja_template(*arguments, **kwargs)[0][0]

            result = outcome(render)
            raised = isinstance(result, dict)
            results[name] = {"raises": fnv(result["raises"])} if raised else fnv(result) if isinstance(result, str) else None
        yield path.stem, results


def main():
    goldens = {
        "now": int((NOW - datetime(1970, 1, 1)).total_seconds()),
        "variables": VARIABLES,
        "conversations": CONVERSATIONS,
        "snippets": list(snippets()),
        "fixtures": dict(fixtures(sys.argv[1])),
    }
    lines = [f" {json.dumps(key)}: {dumped(value)}" for key, value in goldens.items()]
    print("{\n" + ",\n".join(lines) + "\n}")


def dumped(value):
    """JSON with one line per entry, so that a change shows as what it is."""
    if isinstance(value, list):
        return "[\n" + ",\n".join("  " + json.dumps(item, ensure_ascii=False) for item in value) + "\n ]"
    if isinstance(value, dict):
        items = (f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in value.items())
        return "{\n" + ",\n".join(items) + "\n }"
    return json.dumps(value)


if __name__ == "__main__":
    main()
