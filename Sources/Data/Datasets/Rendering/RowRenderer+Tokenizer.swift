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

extension TextCodec {
  /// A model's tokenizer.
  /// - Parameter stopTokens: ids that end an answer, from `generation_config.json`; the tokenizer's own are added.
  public init(_ tokenizer: Tokenizer, stopTokens: Set<Int> = []) {
    self.init(
      encode: { text, addsSpecialTokens in
        let encoding = try tokenizer.encode(text, addSpecialTokens: addsSpecialTokens, specialTokensAsText: false)
        return (encoding.ids, encoding.offsets)
      }, decode: { tokenizer.decode($0) }, end: tokenizer.specialTokens.eos?.id,
      stops: stopTokens.union(tokenizer.specialTokens.stopCandidates))
  }
}

extension RowRenderer {
  /// The renderer of a model folder's tokenizer and chat template.
  /// - Parameters:
  ///   - template: instead of the tokenizer's own.
  ///   - stopTokens: ids that end an answer, from `generation_config.json`.
  ///   - variables: for the template, such as `enable_thinking`.
  /// - Throws: `JinjaError` for a template that cannot be read.
  public init(
    tokenizer: Tokenizer, template: String? = nil, stopTokens: Set<Int> = [], variables: JSONObject = JSONObject(),
    trainOn: TrainOn = .responses, contextLength: Int, keepsLongRows: Bool = false
  ) throws {
    let special = tokenizer.specialTokens.named.map { (name: $0.key, text: $0.value) }.sorted { $0.name < $1.name }
    let options = ChatTemplate.Options(variables: variables, specialTokens: special)
    self.init(
      codec: TextCodec(tokenizer, stopTokens: stopTokens),
      template: try (template ?? tokenizer.chatTemplate).map {
        ConversationTemplate(try ChatTemplate($0), options: options, findsAnswers: trainOn == .responses)
      }, trainOn: trainOn, contextLength: contextLength, keepsLongRows: keepsLongRows)
  }
}
