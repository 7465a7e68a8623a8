import Foundation

/// Tokenizer and chat template of a model.
public struct ModelText: Sendable {
  /// The text side of the folder; nil where it holds no tokenizer.
  public init?(ifIn folder: String) throws { return nil }
  /// Whether there is a chat template.
  public var hasTemplate: Bool { false }
  /// Ids that end an answer.
  public var stopIDs: Set<Int32> { [] }
  /// The ids of plain text.
  public func encode(_ text: String) throws -> [Int32] { [] }
  /// The ids of a conversation.
  public func encode(messages: [JSON], tools: JSON?, addGenerationPrompt: Bool) throws -> [Int32] { [] }
  /// The text of ids.
  public func decode(_ ids: [Int32], skipSpecial: Bool) -> String { "" }

  /// The ids under `eos_token_id` in `generation_config.json` and `config.json`: a number or a list.
  static func configuredStops(in folder: String) throws -> Set<Int32> {
    var stops: Set<Int32> = []
    for name in ["generation_config.json", "config.json"] {
      guard let data = FileManager.default.contents(atPath: folder + "/" + name) else { continue }
      let value = try JSON(parsing: data)["eos_token_id"]
      stops.formUnion((value?.array ?? value.map { [$0] } ?? []).compactMap { $0.int.flatMap(Int32.init(exactly:)) })
    }
    return stops
  }
}

/// Text of ids that come one after another.
public struct TextStream {
  init(_ text: ModelText) {}
  mutating func append(_ id: Int32) -> String { "" }
  mutating func finish() -> String { "" }
}
