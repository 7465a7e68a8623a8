import Testing

/// Statements: branches, loops with `loop`, assignments and their scopes, macros, calls, filter blocks.
@Suite struct JinjaStatementTests {
  @Test func branches() throws {
    try expectRendered([
      ("{% if n > 5 %}a{% elif n > 3 %}b{% else %}c{% endif %}", "a"),
      ("{% if none %}a{% elif blank %}b{% else %}c{% endif %}", "c"),
      ("{% if not map.k %}a{% endif %}", "a"),
      ("{% if missing %}a{% else %}b{% endif %}", "b"),
      ("{% if missing is defined and missing.x %}a{% else %}b{% endif %}", "b"),
      ("{{ 'a' if yes }}|{{ 'a' if none }}|{{ 'a' if none else 'b' }}", "a||b"),
      ("{{ 'a' if none else 'b' if blank else 'c' }}", "c"),
      ("{% if list and [] or n %}a{% endif %}", "a"),
      ("{% if 'Hi' in messages[1].content and messages[1]['role'] == 'user' %}a{% endif %}", "a"),
      ("{% if 1 < n <= 7 != 8 %}a{% endif %}", "a"),
    ])
  }

  /// The variable `loop`.
  @Test func loops() throws {
    try expectRendered([
      (
        "{% for x in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
        "1032TrueFalse3;2121FalseFalse3;3210FalseTrue3;"
      ),
      ("{% for x in list %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}", "<3>1;3<1>2;1<2>;"),
      ("{% for x in list %}{{ loop.cycle('odd', 'even') }} {% endfor %}", "odd even odd "),
      ("{% for x in [1,1,2,2,1] %}{{ loop.changed(x) }} {% endfor %}", "True False True False True "),
      ("{% for x in [] %}a{% else %}b{% endfor %}", "b"),
      ("{% for x in list if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% else %}none{% endfor %}", "1/2:3 2/2:2 "),
      ("{% for x in list if x > 9 %}a{% else %}none{% endfor %}", "none"),
      ("{% for x in list %}{% for y in list %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}", "1231;1232;1233;"),
      (
        "{% for x in list %}{% set outer = loop %}{% for y in words[:2] %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
        "11 12 21 22 31 32 "
      ),
      ("{% for x in list %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}", "101010"),
      ("{% for a, b in [[1, 2], [3, 4]] %}{{ a }}-{{ b }} {% endfor %}", "1-2 3-4 "),
      ("{% for k, v in map.items() %}{{ k }}={{ v }},{% endfor %}", "z=1,a=x,k=None,"),
      ("{% for k in map %}{{ k }}{% endfor %}", "zak"),
      ("{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "123"),
      ("{% for c in 'añ😀' %}[{{ c }}]{% endfor %}", "[a][ñ][😀]"),
      ("{% for x in missing %}a{% else %}empty{% endfor %}", "empty"),
      ("{% for x in list %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "32"),
      ("{% for x in list %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}never{% endfor %}", "3"),
      ("{% for x in range(3) %}{{ x }}{% endfor %}{{ x }}", "012"),
      (
        "{% for m in messages if m.role == 'user' %}{{ loop.index0 }}{{ m.content|e }}{% if not loop.last %}|{% endif %}{% endfor %}",
        "0Hi &lt;b&gt;&amp;&lt;/b&gt;|1Bye"
      ),
      ("{% for m in messages[1:][::2] %}{{ m.content }};{% endfor %}", "Hi <b>&</b>;Bye;"),
      ("{% for x in nested recursive %}{{ x if x is number else '[' ~ loop(x) ~ ']' }}{% endfor %}", "[12][3][]"),
      ("{% for x in nested recursive %}{% if x is number %}{{ loop.depth }}{% else %}({{ loop(x) }}){% endif %}{% endfor %}", "(22)(2)()"),
      ("{% for x in list|sort %}{{ x }}{% endfor %}{% for x in words|map('upper')|unique %}{{ x }}{% endfor %}", "123BAC"),
      ("{% for x in list %}{{ loop }}{% endfor %}", "<LoopContext 1/3><LoopContext 2/3><LoopContext 3/3>"),
    ])
  }

  /// What a block sets is gone behind it; a namespace is not.
  @Test func scopes() throws {
    try expectRendered([
      ("{% set x = 1 %}{% for i in list %}{% set x = i %}{% endfor %}{{ x }}", "1"),
      ("{% set x = 1 %}{% if yes %}{% set x = 2 %}{% endif %}{{ x }}", "2"),
      ("{% set ns = namespace(x=1, y=[]) %}{% for i in list %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y }}", "7[]"),
      ("{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{{ ns.c is defined }}", "12False"),
      ("{% set a, b = 1, 2 %}{{ a }}{{ b }}", "12"),
      ("{% set x %}a {{ n }}{% endset %}{{ x|upper }}{{ x is string }}", "A 7True"),
      ("{% set x|upper %}a{% endset %}{{ x }}", "A"),
      ("{% with x = 2, y = n %}{{ x }}{{ y }}{% endwith %}{{ x }}", "27"),
      ("{% set x = 5 %}{% with %}{% set x = 6 %}{{ x }}{% endwith %}{{ x }}", "65"),
      ("{% set x = 1 %}{% with x = 2, y = x %}{{ y }}{% endwith %}", "1"),
      ("{% set n = 1 %}{{ n }}", "1"),
      ("{% for n in [1] %}{% endfor %}{{ n }}", "7"),
      (
        "{% set ns = namespace(last=none) %}{% for m in messages[::-1] %}{% if m.role == 'user' and not ns.last %}{% set ns.last = (messages|length - 1) - loop.index0 %}{% endif %}{% endfor %}{{ ns.last }}",
        "3"
      ),
      ("{% set ns = namespace() %}{% set ns.a = 1 %}{% set ns.a = ns.a + 1 %}{{ ns.a }}", "2"),
      ("{% block b %}{{ n }}{% endblock %}", "7"),
      ("{% for i in list %}{% block c scoped %}{{ i }}{% endblock %}{% endfor %}", "312"),
    ])
  }

  @Test func macros() throws {
    try expectRendered([
      ("{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=4, a=5) }}", "121354"),
      ("{% macro m(a) %}[{{ a }}]{% endmacro %}{{ m() }}", "[]"),
      ("{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "(1, 2){'x': 3}"),
      ("{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "3210"),
      ("{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in{% endcall %}", "<in>"),
      ("{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) m() %}{{ a }}+{{ b }}{% endcall %}", "1+2"),
      ("{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(3) }}", "3"),
      ("{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}", "2"),
      ("{% macro m() %}x{% endmacro %}{{ m() ~ m() }}{{ m()|length }}{{ m }}", "xx1<Macro 'm'>"),
      ("{% macro m(a, b) %}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.caller }}", "m('a', 'b')False"),
      ("{% macro m(a) %}{% macro in(b) %}{{ a }}{{ b }}{% endmacro %}{{ in(2) }}{% endmacro %}{{ m(1) }}", "12"),
      (
        "{% set ns = namespace(f=none) %}{% macro make(x) %}{% macro g() %}{{ x }}{% endmacro %}{% set ns.f = g %}{% endmacro %}{% set _ = make(8) %}{{ ns.f() }}",
        "8"
      ),
      ("{% macro m() %}{% for x in list %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(x) m() %}{{ x * 2 }},{% endcall %}", "6,2,4,"),
      ("{% macro m(x) %}{{ x|upper }}\n{% endmacro %}{{ m('a') }}|", "A\n|"),
      ("{%- macro m(x) -%}\n  {{ x }}\n{%- endmacro -%}\n{{ m('a') }}|", "a|"),
      ("{% for x in list %}{% macro i() %}{{ loop.index }}{{ x }}{% endmacro %}{{ i() }} {% endfor %}", "13 21 32 "),
    ])
  }

  @Test func filterBlocks() throws {
    try expectRendered([
      ("{% filter upper %}a{{ name }}{% endfilter %}", "AÜNÏ"),
      ("{% filter trim|replace('a', 'b') %} aa {% endfilter %}|", "bb|"),
      ("{% filter indent(2) %}a\nb{% endfilter %}", "a\n  b"),
      ("{% generation %}a{% endgeneration %}b", "ab"),
      ("{% for x in list %}{% filter trim %} {{ x }}{% if x == 1 %}{% continue %}{% endif %} {% endfilter %}{% endfor %}", "32"),
    ])
  }
}
