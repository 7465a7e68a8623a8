import SwiftletFormats
import Testing

/// What the templates of these tests see. The expected texts are what Python's jinja2 3.1.6 rendered from the same, set up as transformers
/// sets it up for chat templates, at 9:26:53 on 14 March 2025.
private let variables = #"""
  {
    "messages": [
      {"role": "system", "content": "Be brief."},
      {"role": "user", "content": "Hi <b>&</b>"},
      {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello!  "},
      {"role": "user", "content": "Bye"}
    ],
    "tools": [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": ["integer", "null"]}}, "required": ["a"]}}}],
    "name": "Ünï",
    "text": "the quick Brown fox",
    "blank": "",
    "n": 7,
    "pi": 3.5,
    "yes": true,
    "none": null,
    "list": [3, 1, 2],
    "words": ["b", "A", "c", "a"],
    "nested": [[1, 2], [3], []],
    "map": {"z": 1, "a": "x", "k": null}
  }
  """#

private func render(_ template: String, _ limits: JinjaLimits = JinjaLimits()) throws -> String {
  let values = try JSON(parsing: variables).object ?? JSONObject()
  let now = JinjaDate(year: 2025, month: 3, day: 14, hour: 9, minute: 26, second: 53)
  return try JinjaTemplate(template, limits: limits).render(values, now: now).text
}

/// Renders each template and compares the text byte for byte.
func expectRendered(_ cases: [(template: String, text: String)]) throws {
  for (template, wanted) in cases {
    do {
      let found = try render(template)
      #expect(found.utf8.elementsEqual(wanted.utf8), "\(template)\n  gives \(found.debugDescription)\n  want \(wanted.debugDescription)")
    } catch { Issue.record("\(template)\n  is refused: \(error)") }
  }
}

/// Each template must fail: with this kind, on this line (nil: not asked), in words that hold `part`.
func expectErrors(_ cases: [(template: String, kind: JinjaError.Kind, line: Int?, part: String)], limits: JinjaLimits = JinjaLimits()) {
  for (template, kind, line, part) in cases {
    do { Issue.record("\(template.prefix(200))\n  is accepted: \(try render(template, limits).prefix(200))") } catch let error as JinjaError
    {
      #expect(error.kind == kind && error.message.contains(part), "\(template.prefix(200))\n  fails with \(error.kind): \(error)")
      if let line { #expect(error.line == line, "\(template.prefix(200))\n  \(error)") }
    } catch { Issue.record("\(template.prefix(200)): \(error)") }
  }
}
