import SwiftletFormats
import SwiftletTokenizers

extension ConversationTemplate {
  /// A model's template. Assistant turns are found by `renderWithAssistantSpans` where only they are trained on, which costs further
  /// renderings for templates without `{% generation %}`.
  /// - Parameters:
  ///   - options: special tokens and variables; tools come from each row.
  ///   - findsAnswers: false where everything is trained on.
  public init(_ template: ChatTemplate, options: ChatTemplate.Options = ChatTemplate.Options(), findsAnswers: Bool = true) {
    self.init(source: template.source) { conversation in
      var options = options
      options.tools = conversation.tools
      let messages = JSON.array(conversation.messages)
      let rendered =
        findsAnswers
        ? try template.renderWithAssistantSpans(messages: messages, options) : try template.render(messages: messages, options)
      return (rendered.text, rendered.generationSpans)
    }
  }
}
