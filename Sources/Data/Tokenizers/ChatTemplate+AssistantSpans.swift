import SwiftletFormats

extension ChatTemplate {
  /// Renders a conversation and finds which part of the text each assistant turn produced: what training may learn from.
  ///
  /// With `{% generation %}` blocks the spans are those. Without them the template is rendered again, never searched for token strings:
  ///
  /// 1. The text that the model would be given before turn `i` (`messages[0..<i]` with the generation prompt) and the text through turn
  ///    `i` (`messages[0...i]`) are both beginnings of the whole text: the turn is what lies between. It includes the stop token.
  /// 2. Many templates write a turn differently once another follows (Qwen3 drops its thinking). Then the whole conversation is rendered
  ///    twice more with the content of turn `i` replaced: the text that changes is the content as this conversation shows it. The turn
  ///    begins at the end of the generation prompt where that is a beginning of the text (else where the content begins), and ends after
  ///    the closing that follows the content when the turn is the last one, which must follow it here too.
  ///
  /// Cost: two renderings for each assistant turn, eight where rule 2 is needed.
  /// - Parameters:
  ///   - messages: as in `render`.
  ///   - options: as in `render`; `addGenerationPrompt` and `continueFinalMessage` must be off.
  /// - Returns: the text of the whole conversation and one span for each assistant turn (or generation block), in order.
  /// - Throws: as `render`; `ChatTemplateError` where neither rule finds a turn, with its index and why.
  public func renderWithAssistantSpans(messages: JSON, _ options: Options = Options()) throws -> Rendered {
    guard !options.addGenerationPrompt, !options.continueFinalMessage else {
      throw ChatTemplateError("assistant spans are found in whole conversations: turn off addGenerationPrompt and continueFinalMessage")
    }
    let whole = try render(messages: messages, options)
    if marksGeneration { return whole }
    guard let list = messages.array else { throw ChatTemplateError("messages: an array is wanted, found \(messages.kind)") }
    let finder = TurnFinder(template: self, options: options, messages: list, whole: Array(whole.text.unicodeScalars))
    var spans: [Range<Int>] = []
    for index in list.indices where list[index]["role"]?.string.map({ ExactString($0) == ExactString("assistant") }) == true {
      let span = try finder.span(of: index)
      guard span.lowerBound >= spans.last?.upperBound ?? 0 else {
        throw ChatTemplateError("messages[\(index)]: the template gives two assistant turns the same text")
      }
      spans.append(span)
    }
    return Rendered(text: whole.text, generationSpans: spans)
  }
}

/// Finds assistant turns in a rendering by rendering variations of its conversation.
private struct TurnFinder {
  typealias Scalars = [Unicode.Scalar]

  let template: ChatTemplate
  let options: ChatTemplate.Options
  let messages: [JSON]
  let whole: Scalars

  private func render(_ messages: [JSON], prompt: Bool = false) throws -> Scalars {
    var options = options
    options.addGenerationPrompt = prompt
    return Array(try template.render(messages: .array(messages), options).text.unicodeScalars)
  }

  func span(of index: Int) throws -> Range<Int> {
    // A template may refuse a conversation that ends here (one that starts with the assistant, say): then rule 2 decides.
    let before = try? render(Array(messages[..<index]), prompt: true)
    let start = before.flatMap { whole.starts(with: $0) ? $0.count : nil }
    if let start, let through = try? render(Array(messages[...index])), through.count >= start, whole.starts(with: through) {
      return start..<through.count
    }
    return try spanByReplacing(index, start: start)
  }

  private func failure(_ index: Int, _ why: String) -> ChatTemplateError {
    ChatTemplateError(
      "messages[\(index)]: cannot tell which text this assistant turn produced: \(why). Mark it in the chat template with "
        + "{% generation %}…{% endgeneration %}, or give each turn a row of its own")
  }

  private func spanByReplacing(_ index: Int, start: Int?) throws -> Range<Int> {
    let content = try changed(in: messages, index, rendered: whole)
    guard start ?? 0 <= content.lowerBound else { throw failure(index, "its content stands before the end of the generation prompt") }
    let alone = Array(messages[...index])
    let last = try render(alone)
    let closing = last[try changed(in: alone, index, rendered: last).upperBound...]
    guard whole[content.upperBound...].starts(with: closing) else {
      throw failure(index, "the template closes it differently once another message follows")
    }
    return (start ?? content.lowerBound)..<content.upperBound + closing.count
  }

  /// The part of `rendered` that depends on the content of message `index`; empty, at the content's place, where there is no content.
  private func changed(in messages: [JSON], _ index: Int, rendered: Scalars) throws -> Range<Int> {
    var prefix = rendered.count
    var suffix = rendered.count
    // Two replacements, as one of them may begin or end like the content itself.
    for replacement in ["Q", "Z"] {
      guard var message = messages[index].object else { throw failure(index, "it is no object") }
      message["content"] = .string(replacement)
      var varied = messages
      varied[index] = .object(message)
      let other = try render(varied)
      prefix = min(prefix, zip(rendered, other).prefix { $0 == $1 }.count)
      suffix = min(suffix, zip(rendered.reversed(), other.reversed()).prefix { $0 == $1 }.count)
    }
    guard prefix < rendered.count || suffix < rendered.count else { throw failure(index, "the template does not show its content") }
    // What lies around a content may begin and end alike: the first of the two places is taken.
    return prefix..<max(prefix, rendered.count - suffix)
  }
}
