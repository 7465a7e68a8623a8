import Foundation

/// Rows of `template`: conversations as a model reads them.
public struct TemplateRows {
  /// One conversation and how to render it.
  public struct Row: Sendable {
    let messages: JSON
    var options = ChatTemplate.Options()

    /// Reads `{"messages","tools"?,"add_generation_prompt"?,"continue_final_message"?,"special_tokens"?,"variables"?,"now"?}`.
    /// - Throws: `RowProblem`.
    public init(_ row: JSONObject) throws {
      guard let messages = row["messages"], messages.array != nil else {
        throw RowProblem.field("messages", row["messages"], want: "an array of messages")
      }
      self.messages = messages
      options.tools = row["tools"]
      options.addGenerationPrompt = try Row.flag(row, "add_generation_prompt")
      options.continueFinalMessage = try Row.flag(row, "continue_final_message")
      options.variables = try Row.object(row, "variables")
      for (name, value) in try Row.object(row, "special_tokens") {
        if let text = value.string { options.specialTokens.append((name, text)) } else { options.variables[name] = value }
      }
      guard let now = row["now"], !now.isNull else { return }
      guard let date = now.string.flatMap(JinjaDate.init(iso:)) else {
        throw RowProblem("\"now\" is \(now.serialized()), want an ISO time such as \"2025-03-14T09:26:53\"")
      }
      options.now = date
    }

    private static func flag(_ row: JSONObject, _ key: String) throws -> Bool {
      guard let value = row[key], !value.isNull else { return false }
      guard let flag = value.bool else { throw RowProblem.field(key, value, want: "true or false") }
      return flag
    }

    private static func object(_ row: JSONObject, _ key: String) throws -> JSONObject {
      guard let value = row[key], !value.isNull else { return JSONObject() }
      guard let object = value.object else { throw RowProblem.field(key, value, want: "an object") }
      return object
    }
  }

  private let template: Result<ChatTemplate, JinjaError>
  private let specialTokens: [(name: String, text: String)]
  private let spans: Bool

  /// The template of a model, or of a file; special tokens are the model's, where there is one, and the row's on top.
  /// - Parameter spans: also gives the places of generated text.
  /// - Throws: where neither can be read.
  public init(model: String?, template path: String?, spans: Bool = false) throws {
    let tokenizer = try model.map { try ModelLocation.find($0).tokenizer() }
    specialTokens = (tokenizer?.specialTokens.named ?? [:]).sorted { $0.key < $1.key }.map { (name: $0.key, text: $0.value) }
    self.spans = spans
    template = try Self.read(try path.map(Self.source) ?? tokenizer?.chatTemplate, model ?? "")
  }

  private static func source(_ path: String) throws -> String {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Failure("no template", at: path, why: "no such file, or it cannot be read", fix: "check the path of --template")
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw Failure("the template is not text", at: path, why: "it is not UTF-8", fix: "save it as UTF-8")
    }
    return text
  }

  private static func read(_ source: String?, _ model: String) throws -> Result<ChatTemplate, JinjaError> {
    guard let source else {
      throw Failure("no chat template", at: model, why: "the tokenizer files hold none", fix: "name one with --template FILE")
    }
    do throws(JinjaError) { return .success(try ChatTemplate(source)) } catch { return .failure(error) }
  }

  /// `{"index","text"}`, with `spans` where asked for; `{"index","error"}` where the template refuses the conversation.
  public func answer(_ index: Int, _ row: Row) -> JSON {
    var options = row.options
    let given = Set(options.specialTokens.map { ExactString($0.name) })
    options.specialTokens = specialTokens.filter { !given.contains(ExactString($0.name)) } + options.specialTokens
    var answer = JSONObject([("index", .int(index))])
    do {
      let rendered = try template.get().render(messages: row.messages, options)
      answer["text"] = .string(rendered.text)
      if spans { answer["spans"] = .array(rendered.generationSpans.map { .array([.int($0.lowerBound), .int($0.upperBound)]) }) }
    } catch {
      answer["error"] = .string("\(error)")
    }
    return .object(answer)
  }
}
