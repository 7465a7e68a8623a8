import Foundation
import SwiftletFormats
import SwiftletTokenizers

private let samples = [
  "", "a", " Hello, wörld 123\n\n  x's", "<s>\u{2581}e\u{301}\u{1F642}\u{200D}中文\0\t<|x|>  ", String(repeating: "ab ", count: 20),
]

/// Loads a `tokenizer.json`, then encodes and decodes with it.
func tokenizer(_ input: UnsafeRawBufferPointer) {
  guard let tokenizer = try? Tokenizer.load(json: Array(input)) else { return }
  exercise(tokenizer)
}

/// The same for `tokenizer.model`.
func sentencePiece(_ input: UnsafeRawBufferPointer) {
  guard let tokenizer = try? Tokenizer.load(model: Array(input)) else { return }
  exercise(tokenizer)
}

private func exercise(_ tokenizer: Tokenizer) {
  for text in samples {
    for special in [false, true] {
      guard let ids = try? tokenizer.encode(text, addSpecialTokens: special) else { continue }
      for id in ids { precondition(id >= 0, "a negative id") }
      _ = tokenizer.decode(ids)
      _ = tokenizer.decode(ids, skipSpecialTokens: true)
      guard let detailed = try? tokenizer.encode(text, addSpecialTokens: special, specialTokensAsText: false) else { continue }
      precondition(detailed.ids == ids, "ids with and without offsets differ")
      let count = text.unicodeScalars.count
      for offset in detailed.offsets { precondition(offset.upperBound <= count, "offsets beyond the text") }
    }
  }
  _ = tokenizer.decode([0, 1, 2, -1, .max, tokenizer.vocabularySize])
}

private let byteLevel: Tokenizer? = lasting {
  let file = "Fuzz/Corpus/tokenizer/bytelevel.json"
  guard let text = FileManager.default.contents(atPath: file) else {
    preconditionFailure("\(file) is missing: run from the package's folder")
  }
  return try? Tokenizer.load(json: Array(text))
}

/// Any text through a byte-level tokenizer comes back as it was, but for the added token `<y>`, which takes the white space around it.
func encode(_ input: UnsafeRawBufferPointer) {
  guard let text = String(validating: input, as: UTF8.self), !text.utf8.contains("<y>".utf8), let byteLevel else { return }
  guard let ids = try? byteLevel.encode(text, addSpecialTokens: false, specialTokensAsText: false) else { preconditionFailure("refused") }
  precondition(byteLevel.decode(ids.ids).utf8.elementsEqual(text.utf8), "decoded text differs")
  for (a, b) in zip(ids.offsets, ids.offsets.dropFirst()) { precondition(a.lowerBound <= b.lowerBound, "offsets go back") }
}

private let limits: JinjaLimits = {
  var limits = JinjaLimits()
  limits.steps = 20_000
  limits.outputBytes = 1 << 16
  return limits
}()

private let conversation = try? JSON(
  parsing: """
    [{"role": "system", "content": " s "}, {"role": "user", "content": "q\\n<b>é"}, {"role": "assistant", "content": "a",
      "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"x": [1, 2.5, null, true]}}}]}, {"role": "tool", "content": "{}"}]
    """)

/// Any source, with a conversation to render.
func jinjaSource(_ input: UnsafeRawBufferPointer) {
  guard let source = String(validating: input, as: UTF8.self), let template = try? ChatTemplate(source, limits: limits) else { return }
  let options = ChatTemplate.Options(
    addGenerationPrompt: true, tools: conversation, specialTokens: [("bos_token", "<s>"), ("eos_token", "</s>")],
    now: JinjaDate(year: 2024, month: 2, day: 29))
  guard let rendered = try? template.render(messages: conversation ?? .null, options) else { return }
  let count = rendered.text.unicodeScalars.count
  for span in rendered.generationSpans { precondition(span.upperBound <= count, "a span beyond the text") }
}

private let templates: [ChatTemplate] = lasting {
  [
    """
    {%- for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}{% generation %}{{ m.content | trim }}{% endgeneration %}{% if m.tool_calls %}\
    {%- for c in m.tool_calls %}{{ c.function.name }}({{ c.function.arguments | tojson(indent=2) }}){% endfor %}{% endif %}<|im_end|>
    {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant{% endif %}
    """,
    """
    {{- bos_token }}{% set ns = namespace(found=false, last=-1) %}{%- macro show(x, depth=0) -%}{%- if x is mapping %}{% for k, v in x.items() %}\
    {{ k }}={{ show(v, depth + 1) }};{% endfor %}{% elif x is string %}{{ x | upper | replace('A', 'b') }}{% elif x is iterable %}{{ x | length }}\
    {{ x | join(', ') }}{% else %}{{ x }}{% endif %}{%- endmacro %}{% for m in messages[::-1] if m is mapping %}{% if loop.first or not ns.found %}\
    {% set ns.found = true %}{% set ns.last = loop.index0 %}{% endif %}{{ loop.cycle('a', 'b') }}{{ show(m) }}{% if m.content is string and '</think>' in m.content %}\
    {{ m.content.split('</think>')[-1].lstrip('\\n') }}{% endif %}{% endfor %}{{ ns.last ~ tools | default('none', true) | string | title }}
    """,
    """
    {% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{{ messages[0]['content'][:10] | indent(2) }}{% else %}{% set rest = messages %}{% endif %}\
    {% for m in rest %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}\
    {{ m['content'] | selectattr('type', 'equalto', 'text') | map(attribute='text') | join if m['content'] is not string else m['content'] | safe }}{% endfor %}
    """,
  ].compactMap { try? ChatTemplate($0, limits: limits) }
}

/// Templates as models have them, with any messages: the first byte chooses, the rest is JSON.
func jinjaRender(_ input: UnsafeRawBufferPointer) {
  precondition(templates.count == 3, "a template of the target itself is refused")
  guard let first = input.first, let json = try? JSON(parsing: input.dropFirst()) else { return }
  let template = templates[Int(first & 0x3F) % templates.count]
  let options = ChatTemplate.Options(
    addGenerationPrompt: first & 0x80 != 0, continueFinalMessage: first & 0xC0 == 0x40, tools: json["tools"],
    specialTokens: [("bos_token", "<s>")])
  _ = try? template.render(messages: json["messages"] ?? json, options)
  var plain = options
  (plain.addGenerationPrompt, plain.continueFinalMessage) = (false, false)
  guard let rendered = try? template.renderWithAssistantSpans(messages: json["messages"] ?? json, plain) else { return }
  var place = 0
  let count = rendered.text.unicodeScalars.count
  for span in rendered.generationSpans {
    precondition(span.lowerBound >= place && span.upperBound <= count, "spans out of order or beyond the text")
    place = span.lowerBound
  }
}

@_silgen_name("__lsan_disable") private func disableLeakCheck()
@_silgen_name("__lsan_enable") private func enableLeakCheck()

/// What a target keeps for all its inputs. The leak check cannot follow Swift's tagged pointers from a global, and would call it lost.
private func lasting<Value>(_ make: () -> Value) -> Value {
  disableLeakCheck()
  defer { enableLeakCheck() }
  return make()
}
