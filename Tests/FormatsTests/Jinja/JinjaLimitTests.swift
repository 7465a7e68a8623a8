import Foundation
import SwiftletFormats
import Testing

/// Templates that try to use up the machine: each ends soon with a `limit`, and gives all memory back.
@Suite struct JinjaLimitTests {
  @Test func budgets() {
    let deep = { (open: String, close: String, count: Int) in
      String(repeating: open, count: count) + "1" + String(repeating: close, count: count)
    }
    let cases: [(String, String)] = [
      ("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "steps"),
      ("{% for i in range(100001) %}{% endfor %}", "Range too big"), ("{{ range(10 ** 18) }}", "Range too big"),
      ("{% for i in range(100000) %}{{ text * 50 }}{% endfor %}", "the output is longer than"), ("{{ 'a' * 10 ** 12 }}", "bytes"),
      ("{{ 'a'.center(10 ** 12) }}", "bytes"), ("{{ 'a'|center(10 ** 12) }}", "bytes"), ("{{ 'a'.zfill(10 ** 12) }}", "bytes"),
      ("{{ '%1000000000000d' % 1 }}", "too large"), ("{{ '{:1000000000000}'.format(1) }}", "too large"),
      ("{{ 'a\n'|indent(10 ** 12) }}", "bytes"),
      ("{{ [1] * 10 ** 12 }}", "steps"), ("{{ (1,) * 10 ** 12 }}", "steps"), ("{{ list|batch(10 ** 12, 1)|list }}", "steps"),
      ("{{ list|slice(10 ** 12)|list }}", "steps"), ("{{ '\t'.expandtabs(10 ** 12) }}", "bytes"),
      ("{{ ('a' * 1000000).replace('', 'b' * 1000) }}", "bytes"), ("{{ ('a' * 100000).replace('a', 'b' * 100000) }}", "bytes"),
      ("{% set a = 'x' * 1000000 %}{{ (a,) * 100000 }}", "bytes"), ("{{ [list, list]|tojson(indent=10 ** 12) }}", "bytes"),
      ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested deeper than 64"),
      ("{% for x in [0] recursive %}{{ loop([0]) }}{% endfor %}", "nested deeper than 64"),
      (deep("{% if 1 %}", "{% endif %}", 65), "deep"),
      ("{{ " + deep("(", ")", 100_000) + " }}", "deep"),
      ("{{ " + String(repeating: "[", count: 100_000), "deep"), ("{{ " + String(repeating: "not ", count: 100_000) + "1 }}", "deep"),
      ("{{ " + String(repeating: "-", count: 100_000) + "1 }}", "deep"),
      ("{{ 1" + String(repeating: " if 0 else 1", count: 50_000) + " }}", "deep"),
      ("{{ a" + String(repeating: "|list", count: 1_000_000) + " }}", "bytes"), (String(repeating: "a", count: 1_048_577), "bytes"),
      ("{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% endfor %}", "deep"),
      ("{% set ns = namespace(x=list) %}{% for i in range(1000) %}{% set ns.x = ns.x|map('string') %}{% endfor %}", "deep"),
      (
        "{% set ns = namespace(x=()) %}{% for i in range(40) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ {ns.x: 1} }}",
        "a key of more than"
      ),
      ("{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson }}", "steps"),
      (
        "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x == [ns.x] }}{{ ns.x }}",
        "steps"
      ),
      ("{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}", "bytes"),
      ("{% macro m() %}\(manyVariables)x{% endmacro %}{% for i in range(100000) %}{{ m() }}{% endfor %}", "steps"),
      ("{% for i in range(100000) %}\(manyVariables)x{% endfor %}", "steps"),
    ]
    for (template, part) in cases {
      let seconds = processorSeconds { expectErrors([(template, .limit, nil, part)]) }
      #expect(seconds < 4, "\(template.prefix(100)) took \(seconds)")
    }
  }

  /// A branch that is never taken, with 20,000 variables.
  private var manyVariables: String { "{% if none %}" + (0..<20_000).map { "{% set v\($0) = 1 %}" }.joined() + "{% endif %}" }

  @Test func ownLimits() {
    var limits = JinjaLimits()
    (limits.steps, limits.outputBytes, limits.callDepth, limits.nesting, limits.sourceBytes) = (100, 20, 2, 3, 100)
    expectErrors(
      [
        ("{% for i in range(200) %}{% endfor %}", .limit, 1, "more than 100 steps"), ("\n{{ 'a' * 21 }}", .limit, 2, "more than 20 bytes"),
        ("\n{{ '0123456789' }}0123456789a", .limit, nil, "longer than 20 bytes"),
        ("{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ c() }}{% endmacro %}{{ a() }}", .undefined, 1, "'c' is undefined"),
        ("{% macro a(n) %}{{ a(n) }}{% endmacro %}\n{{ a(1) }}", .limit, nil, "deeper than 2"), ("{{ [[[[1]]]] }}", .limit, 1, "3"),
        (String(repeating: "a", count: 101), .limit, nil, "100 bytes"),
      ], limits: limits)
  }

  /// Scopes, loops, iterators and namespaces that hold each other, each with six megabytes: nothing stays behind.
  @Test func cyclesAreGivenBack() throws {
    let templates = [
      "{% macro m() %}{{ big|length }}{{ m is defined }}{% endmacro %}{{ m() }}",
      "{% macro m(x) %}{% macro n() %}{{ x|length }}{% endmacro %}{{ n() }}{% endmacro %}{{ m(big) }}",
      "{% set ns = namespace(x=big) %}{% set ns.self = ns %}{{ ns.x|length }}",
      "{% for x in [big] if x %}{{ loop.index }}{% endfor %}", "{% for x in [big, big] %}{{ loop.changed(loop) }}{% endfor %}",
      "{% macro m() %}{% for x in [big] if x %}{{ loop.index }}{% endfor %}{% endmacro %}{{ m() }}",
      "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ big|length }}{% endcall %}",
      "{% for x in [[big]] recursive %}{{ loop(x) if x is not string }}{% endfor %}",
      "{% for x in [big] %}{% set outer = loop %}{% for y in [outer] %}{{ loop.changed(outer, loop) }}{{ outer.changed(loop) }}{% endfor %}{% endfor %}",
      "{% set ns = namespace(a=big) %}{% for x in [ns]|map(attribute='a') if x %}{% set ns.a = loop %}{% endfor %}",
      "{% set ns = namespace() %}{% for x in [big] %}{% set ns.loop = loop %}{{ loop.cycle(x)|length }}{{ raise_exception('x') if ns.stop }}{% endfor %}",
      "{% set ns = namespace() %}{% macro m() %}{% set ns.m = caller %}{{ big.x.y }}{% endmacro %}{% call m() %}{{ ns }}{% endcall %}",
    ]
    let parsed = try templates.map { try JinjaTemplate("{% set big = 'x' * 3000 * 2000 %}" + $0) }
    for template in parsed { _ = try? template.render() }
    let before = residentBytes()
    for _ in 0..<30 { for template in parsed { _ = try? template.render() } }
    let grown = residentBytes() - before
    #expect(grown < 150_000_000, "\(grown) bytes are not given back after \(30 * templates.count) renderings")
  }

  private func residentBytes() -> Int {
    let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(getpagesize()) : 0
  }

  /// Chains of a hundred thousand links end without recursion.
  @Test func longChainsEnd() {
    let chains = [
      "{% set ns = namespace(last=none) %}{% for i in range(100000) %}{% set ns.last = namespace(before=ns.last) %}{% endfor %}",
      "{% set ns = namespace(last=none) %}{% for i in range(60000) %}{% for j in [0] %}{% set _ = loop.changed(ns.last) %}{% set ns.last = loop %}{% endfor %}{% endfor %}",
      "{% set ns = namespace(last=none) %}{% macro make(before) %}{% macro m() %}{{ before }}{% endmacro %}{% set ns.last = m %}{% endmacro %}{% for i in range(60000) %}{% set _ = make(ns.last) %}{% endfor %}",
    ]
    for chain in chains {
      for end in ["", "{% set ns.last = none %}", "{{ 1 / 0 }}"] { _ = try? JinjaTemplate(chain + end + "done").render() }
    }
  }
}
