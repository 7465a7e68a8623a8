import Testing

/// White space and comments: `trim_blocks` and `lstrip_blocks`, as chat templates are rendered.
@Suite struct JinjaLayoutTests {
  /// A line that holds only a block leaves nothing behind.
  @Test func blocks() throws {
    try expectRendered([
      ("a\n{% if yes %}\nb\n{% endif %}\nc", "a\nb\nc"),
      ("a\n  {% if yes %}  \nb{% endif %}c", "a\n  \nbc"),
      ("  {{ n }}\n{{ n }}\n", "  7\n7"),
      ("x {% if yes %}\ny\n  {% endif %}\n", "x y\n"),
      ("{% if yes %}a{% endif %}\n\nb", "a\nb"),
      ("a\n\t{% set x = 1 %}\nb", "a\nb"),
      ("a {# note #}\nb", "a b"),
      ("a\n  {# note #}\nb", "a\nb"),
      ("{#\nlong\nnote\n#}\nx", "x"),
      ("a\n{%+ if yes %}b{% endif %}", "a\nb"),
      ("  {%+ if yes %}b{% endif %}", "  b"),
      ("{% if yes +%}\nb{% endif %}", "\nb"),
    ])
  }

  /// A minus takes all white space beside it, line ends too.
  @Test func signs() throws {
    try expectRendered([
      ("a \n {%- if yes %} b {% endif -%} \n c", "a b c"),
      ("a  {{- n -}}  b", "a7b"),
      ("a \n{#- note -#}\n b", "ab"),
      ("{%- for m in words -%}\n  {{ m }}\n{%- endfor -%}", "bAca"),
      ("{% for m in words %}\n{{- m }}\n{% endfor %}", "b\nA\nc\na\n"),
      ("a\u{A0}{{- n }}", "a7"),
      ("a\r\n{%- if yes %}b{% endif %}\r\nc", "abc"),
      ("a\r\nb\rc\n", "a\nb\nc"),
      ("{{ n }}\n", "7"),
      ("{{ n }}\n\n", "7\n"),
      ("\n{{ n }}", "\n7"),
      (#"{{ '\n' }}{{- 'x' }}"#, "\nx"),
    ])
  }

  /// Raw text is not looked into.
  @Test func raw() throws {
    try expectRendered([
      ("{% raw %}{{ n }}{% if %}{% endraw %}", "{{ n }}{% if %}"),
      ("{% raw -%}  {{ n }}  {%- endraw %}", "{{ n }}"),
      ("{% raw %}\n{# x #}\n{% endraw %}\ny", "\n{# x #}\ny"),
      (#"{{ '{{' }}{{ "%}" }}"#, "{{%}"),
      ("{{ '}}' }} {{ {'a': {'b': 1}}['a']['b'] }}", "}} 1"),
      ("{ {% if yes %}}{% endif %} }", "{ } }"),
      ("a {{ n }} # not a comment\n## nor this", "a 7 # not a comment\n## nor this"),
      ("{{ 'it''s' }}", "its"),
      ("{{ 'a' 'b' }}", "ab"),
    ])
  }
}
