import Testing

/// Filters and tests.
@Suite struct JinjaFilterTests {
  @Test func text() throws {
    try expectRendered([
      (
        "{{ text|upper }} {{ text|lower }} {{ text|title }} {{ text|capitalize }}",
        "THE QUICK BROWN FOX the quick brown fox The Quick Brown Fox The quick brown fox"
      ),
      ("{{ '  a '|trim }}|{{ 'xax'|trim('x') }}", "a|a"),
      ("{{ text|replace('quick', 'slow') }} {{ 'aaa'|replace('a', 'b', 2) }}", "the slow Brown fox bba"),
      ("{{ 'a\nb\n\nc'|indent }}", "a\n    b\n\n    c"),
      ("{{ 'a\nb\n\nc'|indent(2, true) }}", "  a\n  b\n\n  c"),
      ("{{ 'a\n\nb'|indent(2, blank=true) }}", "a\n  \n  b"),
      ("{{ text|length }} {{ name|length }} {{ map|length }} {{ list|count }}", "19 3 3 3"),
      (
        "{{ text|wordcount }} {{ text|truncate(9) }} {{ text|truncate(9, true) }} {{ text|center(25) }}|",
        "4 the... the qu...    the quick Brown fox   |"
      ),
      (
        #"{{ 'a <b> & "c"'|e }} {{ '<'|escape|e }} {{ '<b>'|safe }} {{ '<p>a</p>'|striptags }}"#,
        "a &lt;b&gt; &amp; &#34;c&#34; &lt; <b> a"
      ),
      ("{{ 'a b'|urlencode }} {{ {'a': 'x y'}|urlencode }}", "a%20b a=x+y"),
      ("{{ 'a b c d'|wordwrap(3) }}", "a b\nc d"),
      ("{{ '%s!'|format('a') }}", "a!"),
      ("{{ 5|string ~ 'a' }} {{ none|string }} {{ [1]|string }}", "5a None [1]"),
      ("{{ 'abc'|first }}{{ 'abc'|last }}{{ 'abc'|list }}{{ 'abc'|reverse }}", "ac['a', 'b', 'c']cba"),
    ])
  }

  @Test func numbers() throws {
    try expectRendered([
      (
        "{{ '3'|int }} {{ 'x'|int }} {{ 'x'|int(-1) }} {{ '3.9'|int }} {{ 3.9|int }} {{ '0x1A'|int(base=16) }} {{ none|int }}",
        "3 0 -1 3 3 26 0"
      ),
      ("{{ '3.5'|float }} {{ 'x'|float }} {{ 2|float }}", "3.5 0.0 2.0"),
      (
        "{{ -3|abs }} {{ 2.5|round }} {{ 3.5|round }} {{ 2.345|round(2) }} {{ 2.1|round(method='ceil') }} {{ 2.9|round(0, 'floor') }} {{ 7|round }}",
        "3 2.0 4.0 2.35 3.0 2.0 7"
      ),
      ("{{ list|sum }} {{ list|min }} {{ list|max }} {{ []|sum }} {{ [1.5, 2]|sum }}", "6 1 3 0 3.5"),
      ("{{ 1234567|filesizeformat }} {{ 1000|filesizeformat }} {{ 1024|filesizeformat(true) }}", "1.2 MB 1.0 kB 1.0 KiB"),
    ])
  }

  @Test func sequences() throws {
    try expectRendered([
      (
        "{{ list|sort }} {{ list|sort(reverse=true) }} {{ words|sort }} {{ words|sort(case_sensitive=true) }}",
        "[1, 2, 3] [3, 2, 1] ['A', 'a', 'b', 'c'] ['A', 'a', 'b', 'c']"
      ),
      ("{{ messages|map(attribute='role')|join(', ') }}", "system, user, assistant, user"),
      ("{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|list }}", "['Hi <b>&</b>', 'Bye']"),
      ("{{ messages|rejectattr('role', 'eq', 'user')|list|length }}", "2"),
      ("{{ list|select('odd')|list }} {{ list|reject('odd')|list }} {{ [0, 1, '']|select|list }}", "[3, 1] [2] [1]"),
      ("{{ words|join }} {{ list|join('-') }} {{ [[1, 2], [3]]|map('first')|list }}", "bAca 3-1-2 [1, 3]"),
      ("{{ words|unique|list }} {{ words|unique(case_sensitive=true)|list }}", "['b', 'A', 'c'] ['b', 'A', 'c', 'a']"),
      ("{{ list|first }}{{ list|last }}{{ []|first }}|{{ list|reverse|list }}", "32|[2, 1, 3]"),
      (
        "{{ [1, 2, 3, 4, 5]|batch(2)|list }} {{ [1, 2, 3]|batch(2, 'x')|list }} {{ [1, 2, 3, 4, 5]|slice(2)|list }}",
        "[[1, 2], [3, 4], [5]] [[1, 2], [3, 'x']] [[1, 2, 3], [4, 5]]"
      ),
      ("{% for g in messages|groupby('role') %}{{ g.grouper }}:{{ g.list|length }} {% endfor %}", "assistant:1 system:1 user:2 "),
      ("{% for role, items in messages|groupby('role') %}{{ role }}{{ items|length }} {% endfor %}", "assistant1 system1 user2 "),
      (
        "{{ {'b': 1, 'a': 2}|dictsort }} {{ {'b': 1, 'a': 2}|dictsort(by='value') }} {{ {'b': 1, 'a': 2}|items|list }}",
        "[('a', 2), ('b', 1)] [('b', 1), ('a', 2)] [('b', 1), ('a', 2)]"
      ),
      (
        "{{ messages|map('length')|list }} {{ words|map('upper')|list }} {{ [{'a': {'b': 1}}]|map(attribute='a.b')|list }} {{ [{}]|map(attribute='q', default='d')|list }}",
        "[2, 2, 2, 2] ['B', 'A', 'C', 'A'] [1] ['d']"
      ),
      ("{{ list|max }} {{ words|max }} {{ words|min }}", "3 c A"),
      (
        "{{ [3, 1]|sort|first }} {{ messages|sort(attribute='role')|map(attribute='role')|list }}",
        "1 ['assistant', 'system', 'user', 'user']"
      ),
      ("{{ map|list }} {{ 'ab'|list }} {{ (1, 2)|list }}", "['z', 'a', 'k'] ['a', 'b'] [1, 2]"),
      ("{{ map|attr('items') is defined }} {{ map|attr('z') is defined }}", "True False"),
      ("{{ [['a', 1]]|map('join', '=')|join('&') }}", "a=1"),
      ("{{ list|map('string')|join }}", "312"),
    ])
  }

  @Test func defaults() throws {
    try expectRendered([
      (
        "{{ missing|default('d') }} {{ none|default('d') }} {{ blank|default('d') }}| {{ blank|default('d', true) }} {{ none|d('x', boolean=true) }}",
        "d None | d x"
      ),
      ("{{ map.nope|default('e') }} {{ map['nope']|default(1) }}", "e 1"),
      ("{{ missing|length }} {{ missing|list }} {{ missing|join }}|", "0 [] |"),
      ("{{ (missing|default([]))|length }}", "0"),
    ])
  }

  /// `tojson` is `json.dumps` without HTML escaping.
  @Test func json() throws {
    try expectRendered([
      (
        "{{ tools|tojson }}",
        #"[{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": ["integer", "null"]}}, "required": ["a"]}}}]"#
      ),
      ("{{ map|tojson(indent=2) }}", "{\n  \"z\": 1,\n  \"a\": \"x\",\n  \"k\": null\n}"),
      (
        #"{{ 'é<>&\'"\n/'|tojson }} {{ 'é'|tojson(ensure_ascii=true) }} {{ '😀'|tojson(ensure_ascii=true) }}"#,
        #""é<>&'\"\n/" "\u00e9" "\ud83d\ude00""#
      ),
      ("{{ [1, 1.0, true, none, 1e100, -0.0]|tojson }}", "[1, 1.0, true, null, 1e+100, -0.0]"),
      (
        "{{ {'b': 1, 'a': [1, 2]}|tojson(sort_keys=true) }} {{ {'b': [1, 2]}|tojson(separators=(',', ':')) }}",
        #"{"a": [1, 2], "b": 1} {"b":[1,2]}"#
      ),
      ("{{ [[], {}, [[]]]|tojson(indent=1) }}", "[\n [],\n {},\n [\n  []\n ]\n]"),
      ("{{ {1: 2, none: 3, true: 4}|tojson }}", #"{"1": 4, "null": 3}"#),
      ("{{ (1, 2)|tojson }}", "[1, 2]"),
      (#"{{ '\u2028\x7f\x01'|tojson }}"#, "\"\u{2028}\u{7F}\\u0001\""),
      ("{{ [{'a': 1}]|tojson(indent=4) }}", "[\n    {\n        \"a\": 1\n    }\n]"),
    ])
  }

  @Test func tests() throws {
    try expectRendered([
      (
        "{{ n is number }} {{ pi is float }} {{ n is integer }} {{ yes is number }} {{ yes is boolean }} {{ yes is integer }} {{ 'a' is number }}",
        "True True True True True False False"
      ),
      (
        "{{ text is string }} {{ list is sequence }} {{ text is sequence }} {{ map is mapping }} {{ map is sequence }} {{ list is iterable }} {{ n is iterable }} {{ list is mapping }}",
        "True True True True True True False False"
      ),
      ("{{ none is none }} {{ missing is none }} {{ missing is undefined }} {{ none is defined }}", "True False True True"),
      ("{{ 3 is odd }} {{ 3 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }}", "True False True False"),
      (
        "{{ 1 is eq 1 }} {{ 1 is equalto(2) }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 2 is ge 2 }} {{ 1 is gt 0 }} {{ 1 is in [1] }} {{ 1 is sameas 1 }} {{ true is sameas true }}",
        "True False True True True True True True True"
      ),
      ("{{ 'a' is lower }} {{ 'A' is upper }} {{ true is true }} {{ 1 is true }} {{ false is false }}", "True True True False True"),
      (
        "{{ 'upper' is filter }} {{ 'nope' is filter }} {{ 'odd' is test }} {{ namespace is callable }} {{ n is callable }}",
        "True False True True False"
      ),
      (
        "{{ n is not none }} {{ n is not string }} {{ not n is string }} {{ messages[0].content is string and messages is not string }}",
        "True True True True"
      ),
      ("{{ 'x' is escaped }} {{ 'x'|e is escaped }}", "False True"),
      (
        "{{ list|select('gt', 1)|list }} {{ messages|selectattr('tool_calls', 'defined')|list }} {{ messages|selectattr('content')|list|length }}",
        "[3, 2] [] 4"
      ),
    ])
  }
}
