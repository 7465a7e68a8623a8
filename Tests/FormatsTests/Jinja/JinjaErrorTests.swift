import Testing

/// Errors, each with the line that jinja2 blames and, unless it is our own, jinja2's words.
@Suite struct JinjaErrorTests {
  @Test func syntax() {
    expectErrors([
      (
        "a\n{% if x %}\nb", .syntax, 3,
        "Unexpected end of template. Jinja was looking for the following tags: 'elif' or 'else' or 'endif'. The innermost block that needs to be closed is 'if'."
      ),
      ("{{ 1 + }}", .syntax, 1, "end of print statement"),
      ("\n\n{{ a", .syntax, 3, "end of print statement"),
      ("{% for x in %}{% endfor %}", .syntax, 1, "got 'end of statement block'"),
      ("{% endfor %}", .syntax, 1, "Encountered unknown tag 'endfor'"),
      ("{% if 1 %}\n{% endfor %}", .syntax, 2, "Encountered unknown tag 'endfor'"),
      ("{% frobnicate %}", .syntax, 1, "Encountered unknown tag 'frobnicate'."),
      ("{{ 'a }}", .syntax, 1, #"unexpected char "'" at 3"#),
      ("x\n{{ a | nosuchfilter }}", .syntax, 2, "No filter named 'nosuchfilter'."),
      ("{{ a is nosuchtest }}", .syntax, 1, "No test named 'nosuchtest'."),
      ("{{ a..b }}", .syntax, 1, "expected name or number"),
      ("{% set 5 = x %}", .syntax, 1, "can't assign to"),
      ("{% set none = 1 %}", .syntax, 1, "can't assign to"),
      (#"{{ \ }}"#, .syntax, 1, #"unexpected char '\\' at 3"#),
      ("{{ \u{1} }}", .syntax, 1, #"unexpected char '\x01' at 3"#),
      ("{{ (1, 2 }}", .syntax, 1, "unexpected '}'"),
      ("{{ [1, 2) }}", .syntax, 1, "unexpected ')', expected ']'"),
      ("{# never\nclosed", .syntax, 1, "Missing end of comment tag"),
      ("{% raw %}\nx", .syntax, 1, "Missing end of raw directive"),
      ("{% macro m(a=1, b) %}{% endmacro %}", .syntax, 1, "non-default argument follows default argument"),
      ("{{ f(a=1, 2) }}", .syntax, 1, "invalid syntax for function call expression"),
      ("{{ a ? b }}", .syntax, 1, "unexpected char '?' at 5"),
      ("{% block a %}{% endblock %}{% block a %}{% endblock %}", .syntax, 1, "block 'a' defined twice"),
      ("{% else %}", .syntax, 1, "Encountered unknown tag 'else'"),
      ("{% call %}x{% endcall %}", .syntax, 1, "unexpected 'end of statement block'"),
      ("{% for x, in y z %}{% endfor %}", .syntax, 1, "expected token 'in', got 'y'"),
      ("{{ {'a' 1} }}", .syntax, 1, "expected token ':', got 'integer'"),
      ("{{ 1 2 }}", .syntax, 1, "expected token 'end of print statement', got 'integer'"),
      ("{{ @ }}", .syntax, 1, "unexpected char '@' at 3"),
      ("\n{{ a }", .syntax, 2, "unexpected '}'"),
    ])
  }

  @Test func undefined() {
    expectErrors([
      ("{{ missing.x }}", .undefined, 1, "'missing' is undefined"),
      ("a\n{{ missing['x'] }}", .undefined, 2, "'missing' is undefined"),
      ("{{ map.q.r }}", .undefined, 1, "'dict object' has no attribute 'q'"),
      ("{{ missing + 1 }}", .undefined, 1, "'missing' is undefined"),
      ("{{ missing() }}", .undefined, 1, "'missing' is undefined"),
      ("{{ map.nope() }}", .undefined, 1, "'dict object' has no attribute 'nope'"),
      ("{{ text.nope() }}", .undefined, 1, "'str object' has no attribute 'nope'"),
      ("{{ messages[9].role }}", .undefined, 1, "list object has no element 9"),
      ("{{ none.x.y }}", .undefined, 1, "'None' has no attribute 'x'"),
      ("{{ missing < 1 }}", .undefined, 1, "'missing' is undefined"),
      ("{{ []|first ~ ([]|first).x }}", .undefined, 1, "No first item, sequence was empty."),
      ("{% for x in list %}\n{{ loop.previtem.z }}{% endfor %}", .undefined, 2, "there is no previous item"),
      ("{{ missing|upper + missing.a }}", .undefined, 1, "'missing' is undefined"),
      ("{{ -missing }}", .undefined, 1, "'missing' is undefined"),
      ("{{ missing|sort|list ~ missing.a }}", .undefined, 1, "'missing' is undefined"),
    ])
  }

  @Test func runtime() {
    expectErrors([
      ("{{ 1 / 0 }}", .runtime, 1, "division by zero"),
      ("a\nb {{ 1 % 0 }}", .runtime, 2, "modulo by zero"),
      ("{{ 'a' + 1 }}", .runtime, 1, #"can only concatenate str (not "int") to str"#),
      ("{{ 1 + 'a' }}", .runtime, 1, "unsupported operand type(s) for +: 'int' and 'str'"),
      ("{{ n() }}", .runtime, 1, "'int' object is not callable"),
      ("{% for x in n %}{% endfor %}", .runtime, 1, "'int' object is not iterable"),
      ("{{ 1 < 'a' }}", .runtime, 1, "'<' not supported between instances of 'int' and 'str'"),
      ("{{ [1, 'a']|sort }}", .runtime, 1, "'<' not supported between instances of 'str' and 'int'"),
      ("{{ none|length }}", .runtime, 1, "object of type 'NoneType' has no len()"),
      ("{% for a, b in [[1]] %}{% endfor %}", .runtime, 1, "not enough values to unpack (expected 2, got 1)"),
      ("{% for a, b in [[1, 2, 3]] %}{% endfor %}", .runtime, 1, "too many values to unpack (expected 2)"),
      ("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", .runtime, 1, "macro 'm' takes not more than 1 argument(s)"),
      ("{% macro m(a) %}{% endmacro %}\n{{ m(b=1) }}", .runtime, 2, "macro 'm' takes no keyword argument 'b'"),
      ("{% for x in list %}{{ loop(x) }}{% endfor %}", .runtime, 1, "The loop must have the 'recursive' marker to be called recursively."),
      ("{% set x = 1 %}{% set x.a = 1 %}", .runtime, 1, "cannot assign attribute on non-namespace object"),
      ("{{ {[]: 1} }}", .runtime, 1, "unhashable type: 'list'"),
      ("{{ text.split(1) }}", .runtime, 1, "must be str"),
      ("{{ 'a'.index('b') }}", .runtime, 1, "substring not found"),
      ("{{ range(0, 9, 0) }}", .runtime, 1, "must not be zero"),
      ("{{ list[::0] }}", .runtime, 1, "slice step cannot be zero"),
      ("{{ 'a' in 5 }}", .runtime, 1, "argument of type 'int' is not iterable"),
      ("{{ [missing]|tojson }}", .runtime, 1, "Undefined is not JSON serializable"),
      ("{{ range|tojson }}", .runtime, 1, "is not JSON serializable"),
      ("{{ '%d' % 'a' }}", .runtime, 1, "%d format: a real number is required, not str"),
      ("{{ '{}'.format() }}", .runtime, 1, "tuple index out of range"),
    ])
  }

  /// `raise_exception` gives its text as it is.
  @Test func raised() {
    expectErrors([
      ("{{ raise_exception('roles must alternate') }}", .raised, nil, "roles must alternate"),
      ("{% if messages[0].role != 'user' %}\n{{ raise_exception('No ' ~ messages[0].role) }}{% endif %}", .raised, nil, "No system"),
    ])
  }

  /// What could reach beyond the template, or change its input, is refused.
  @Test func sandbox() {
    expectErrors([
      ("{{ ''.__class__.__mro__ }}", .security, 1, "access to attribute '__class__' of 'str' object is unsafe."),
      ("{{ list.append(1) }}", .security, 1, "access to attribute 'append' of 'list' object is unsafe."),
      ("{{ map.update({}) }}", .security, 1, "access to attribute 'update' of 'dict' object is unsafe."),
      ("{{ map.pop('z') }}", .security, 1, "access to attribute 'pop' of 'dict' object is unsafe."),
      ("{{ map.clear() }}", .security, 1, "access to attribute 'clear' of 'dict' object is unsafe."),
      ("{{ list.__len__() }}", .security, 1, "access to attribute '__len__' of 'list' object is unsafe."),
      ("{{ list.sort() }}", .security, 1, "access to attribute 'sort' of 'list' object is unsafe."),
      ("{{ map.setdefault('a', 1) }}", .security, 1, "access to attribute 'setdefault' of 'dict' object is unsafe."),
      ("{{ ''.__init__.__globals__ }}", .security, 1, "access to attribute '__init__' of 'str' object is unsafe."),
      ("{{ (''|attr('__class__')).x }}", .security, 1, "access to attribute '__class__' of 'str' object is unsafe."),
      ("{{ messages.extend([1]) }}", .security, 1, "access to attribute 'extend' of 'list' object is unsafe."),
    ])
  }
}
