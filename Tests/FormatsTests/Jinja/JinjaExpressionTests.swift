import Testing

/// Expressions: literals, arithmetic, comparison, slices, attributes, and how values are printed: as Python prints them.
@Suite struct JinjaExpressionTests {
  @Test func literals() throws {
    try expectRendered([
      ("{{ 1 }} {{ 1.0 }} {{ 1e3 }} {{ 0x1F }} {{ 0b11 }} {{ 0o17 }} {{ 1_000 }}", "1 1.0 1000.0 31 3 15 1000"),
      ("{{ true }} {{ True }} {{ none }} {{ None }} {{ false }}", "True True None None False"),
      ("{{ [1, 'a', none, [true]] }}", "[1, 'a', None, [True]]"),
      ("{{ (1,) }} {{ () }} {{ (1, 2) }} {{ 1, 2 }}", "(1,) () (1, 2) (1, 2)"),
      ("{{ {'a': 1, 2: 'b', none: [1.5]} }}", "{'a': 1, 2: 'b', None: [1.5]}"),
      (#"{{ 'a\n\t\\\'b' }}"#, "a\n\t\\'b"),
      (#"{{ "\u00e9\x41" }}"#, "éA"),
      (#"{{ ['\n', "'", '"', 'é', '\x00'] }}"#, #"['\n', "'", '"', 'é', '\x00']"#),
      (
        "{{ 1e16 }} {{ 1e15 }} {{ 1e-5 }} {{ 0.1 + 0.2 }} {{ 1e22 }} {{ -0.0 }}",
        "1e+16 1000000000000000.0 1e-05 0.30000000000000004 1e+22 -0.0"
      ),
      ("{{ 100000000000000000 }}", "100000000000000000"),
      ("{{ [1,] }}{{ {'a': 1,} }}", "[1]{'a': 1}"),
    ])
  }

  @Test func arithmetic() throws {
    try expectRendered([
      (
        "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ -2 ** 2 }}",
        "3 -4 1 2 3.5 3.0 1024 0.5 4"
      ),
      ("{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 1 + 2.0 }} {{ 3 * 1.5 }}", "3.0 0.5 3.0 4.5"),
      ("{{ 'a' * 3 }} {{ [1] * 2 }} {{ [1] + [2] }} {{ 'a' + 'b' }} {{ (1,) + (2,) }}", "aaa [1, 1] [1, 2] ab (1, 2)"),
      ("{{ 1 ~ 'a' ~ none ~ 2.0 }}", "1aNone2.0"),
      ("{{ '%s-%d-%.2f-%5s|%-5s|%05d' % ('a', 3, 1.234, 'x', 'y', 42) }}", "a-3-1.23-    x|y    |00042"),
      ("{{ '%(a)s' % {'a': 1} }}", "1"),
      ("{{ 2 + 3 * 4 - 1 }} {{ (2 + 3) * 4 }} {{ 2 ** 3 ** 2 }} {{ 10 - 2 - 3 }}", "13 20 64 5"),
      ("{{ +n }} {{ -n }} {{ not n }} {{ true + 1 }}", "7 -7 False 2"),
    ])
  }

  @Test func comparison() throws {
    try expectRendered([
      (
        "{{ 1 == 1.0 }} {{ 1 == true }} {{ 'a' == 'a' }} {{ [1] == [1.0] }} {{ (1,) == [1] }} {{ {'a': 1} == {'a': 1.0} }} {{ none == false }}",
        "True True True True False True False"
      ),
      ("{{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 'Z' < 'a' }} {{ 1 < 2.5 }}", "True True True True"),
      ("{{ 2 in list }} {{ 'z' in map }} {{ 'uick' in text }} {{ 9 not in list }} {{ '' in 'a' }}", "True True True True True"),
      ("{{ 0 or 'x' }} {{ 1 and 'y' }} {{ none and 1 }} {{ [] or {} }}", "x y None {}"),
      ("{{ 1 if missing == missing2 else 2 }}", "1"),
      ("{{ not (1 in [1]) }} {{ not 1 in [1] }}", "False False"),
      ("{{ 3 > 2 > 1 }} {{ 3 > 2 == 2 }}", "True True"),
    ])
  }

  @Test func slices() throws {
    try expectRendered([
      ("{{ list[0] }}{{ list[-1] }}{{ list[9] }}", "32"),
      ("{{ list[1:] }}{{ list[:-1] }}{{ list[::-1] }}{{ list[::2] }}{{ list[5:] }}{{ list[-2:] }}", "[1, 2][3, 1][2, 1, 3][3, 2][][1, 2]"),
      ("{{ text[4:9] }}{{ text[::-1] }}{{ text[-3:] }}{{ text[0] }}", "quickxof nworB kciuq ehtfoxt"),
      ("{{ name[0] }}{{ name[-1] }}{{ name[1:] }}{{ name[::-1] }}", "ÜïnïïnÜ"),
      ("{{ (1, 2, 3)[1:] }} {{ range(10)[2:8:3]|list }}", "(2, 3) [2, 5]"),
      ("{{ messages[0]['content'] }}{{ messages[0].content }}{{ messages[-1].role }}", "Be brief.Be brief.user"),
      ("{{ messages[1:]|length }} {{ messages[:2]|map(attribute='role')|list }}", "3 ['system', 'user']"),
      ("{{ list[none:none] }} {{ list[10:-10:-1] }}", "[3, 1, 2] [2, 1, 3]"),
      ("{{ 'abc'[1:][0] }}", "b"),
      ("{{ messages.0.role }}", "system"),
      ("{{ nested[0][1] }}{{ nested[1].0 }}", "23"),
    ])
  }

  @Test func attributes() throws {
    try expectRendered([
      ("{{ map.z }}{{ map['a'] }}{{ map.missing }}{{ map['missing'] }}|", "1x|"),
      ("{{ map.get('q', 'd') }}{{ map.get('k') }}{{ map.get('nope') }}", "dNoneNone"),
      (
        "{{ map.keys()|list }} {{ map.values()|list }} {{ map.items()|list }}",
        "['z', 'a', 'k'] [1, 'x', None] [('z', 1), ('a', 'x'), ('k', None)]"
      ),
      ("{{ map }} {{ messages[0] }}", "{'z': 1, 'a': 'x', 'k': None} {'role': 'system', 'content': 'Be brief.'}"),
      ("{{ {'items': 3}.items is callable }} {{ {'items': 3}['items'] }}", "True 3"),
      ("{{ missing }}|{{ missing is defined }}", "|False"),
      ("{{ n.real }} {{ pi.is_integer() }} {{ (4.0).is_integer() }}", "7 False True"),
      ("{{ tools[0].function.parameters.properties.keys()|list }}", "['a', 'b']"),
      ("{{ dict(a=1, b=2) }} {{ dict([('x', 1)]) }} {{ dict({'a': 1}, b=2) }}", "{'a': 1, 'b': 2} {'x': 1} {'a': 1, 'b': 2}"),
      ("{{ range(3) }} {{ range(1, 7, 2)|list }} {{ range(3, 0, -1)|list }}", "range(0, 3) [1, 3, 5] [3, 2, 1]"),
      ("{% set j = joiner(', ') %}{% for x in list %}{{ j() }}{{ x }}{% endfor %}", "3, 1, 2"),
      ("{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.next() }}", "abba"),
      ("{{ strftime_now('%d %b %Y, %H:%M %A %j') }}", "14 Mar 2025, 09:26 Friday 073"),
    ])
  }

  @Test func stringMethods() throws {
    try expectRendered([
      (#"{{ ' a '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ ' a'.lstrip() }}|{{ 'a\n'.rstrip('\n') }}|"#, "a|a|a|a|"),
      (
        #"{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a b c'.rsplit(' ', 1) }} {{ 'a\nb\r\nc'.splitlines() }}"#,
        "['a', 'b', '', 'c'] ['a', 'b'] ['a', 'b,c'] ['a b', 'c'] ['a', 'b', 'c']"
      ),
      (
        #"{{ messages[2].content.split('</think>')[-1].lstrip('\n') }}|{{ messages[2].content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') }}"#,
        "Hello!  |hm"
      ),
      ("{{ 'abc'.startswith('a') }} {{ 'abc'.endswith(('b', 'c')) }} {{ 'abc'.startswith(('x', 'y')) }}", "True True False"),
      ("{{ 'aXbX'.replace('X', '-') }} {{ 'aXbX'.replace('X', '-', 1) }}", "a-b- a-bX"),
      (
        "{{ 'abcabc'.find('c') }} {{ 'abcabc'.rfind('c') }} {{ 'abc'.find('z') }} {{ 'abcabc'.count('bc') }} {{ 'abc'.index('b') }}",
        "2 5 -1 2 1"
      ),
      (
        "{{ 'aB ñß'.upper() }} {{ 'AB Ñ'.lower() }} {{ 'a bC'.title() }} {{ 'aB'.capitalize() }} {{ 'aB'.swapcase() }} {{ 'Straße'.casefold() }}",
        "AB ÑSS ab ñ A Bc Ab Ab strasse"
      ),
      ("{{ 'a'.center(5, '*') }}{{ 'a'.ljust(3, '.') }}{{ 'a'.rjust(3) }}{{ '42'.zfill(5) }}", "**a**a..  a00042"),
      ("{{ '-'.join(words) }} {{ 'a-b'.partition('-') }} {{ 'a-b-c'.rpartition('-') }}", "b-A-c-a ('a', '-', 'b') ('a-b', '-', 'c')"),
      (
        "{{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ ''.isalpha() }} {{ ' '.isspace() }} {{ 'A'.isupper() }} {{ 'Ab'.istitle() }} {{ 'é'.isalpha() }}",
        "True True False True True True True"
      ),
      (
        "{{ 'a{}c{}'.format('b', 1) }} {{ '{0}{x}'.format(1, x=2) }} {{ '{:>5}|{:<4}|{:05.1f}'.format('a', 'b', 2.25) }}",
        "abc1 12     a|b   |002.2"
      ),
      ("{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.txt'.removesuffix('.txt') }}", "x x"),
      (#"{{ 'a\tb'.expandtabs(4) }}"#, "a   b"),
      (#"{{ '\u00e9'|length }} {{ '😀'|length }} {{ 'e\u0301'|length }}"#, "1 1 2"),
    ])
  }
}
