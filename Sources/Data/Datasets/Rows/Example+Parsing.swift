import SwiftletFormats

extension Example {
  /// Reads a row in a layout.
  /// - Parameter vocabulary: number of token ids the model knows, for layout `tokens`.
  init(_ row: JSON, layout: DataLayout, needsAnswer: Bool, vocabulary: Int? = nil) throws(RowError) {
    let fields = try RowFields(row)
    switch layout {
    case .alpaca: self = .instruction(try Example.instruction(fields))
    case .sharegpt: self = .conversation(try ConversationReader(needsAnswer: needsAnswer).shareGPT(fields))
    case .chat: self = .conversation(try ConversationReader(needsAnswer: needsAnswer).chat(fields))
    case .text: self = .text(try fields.filledString("text", why: "nothing to train on"))
    case .tokens: self = try Example.tokens(fields, vocabulary: vocabulary)
    }
  }

  private static func instruction(_ fields: RowFields) throws(RowError) -> Instruction {
    Instruction(
      instruction: try fields.filledString("instruction", why: "a task is wanted"), input: try fields.optionalString("input") ?? "",
      output: try fields.filledString("output", why: "there is no answer to train on"), system: try fields.optionalString("system"))
  }

  private static func tokens(_ fields: RowFields, vocabulary: Int?) throws(RowError) -> Example {
    let ids = try integers(fields, "input_ids", from: 0, below: vocabulary)
    guard fields["labels"] != nil else { return .tokens(ids: ids, labels: ids) }
    let labels = try integers(fields, "labels", from: -100, below: vocabulary)
    guard labels.count == ids.count else {
      throw RowError(fields.path.appending("labels"), "has \(labels.count) elements, \"input_ids\" has \(ids.count)")
    }
    return .tokens(ids: ids, labels: labels)
  }

  private static func integers(_ fields: RowFields, _ key: String, from least: Int, below limit: Int?) throws(RowError) -> [Int32] {
    var result: [Int32] = []
    for (index, value) in try fields.array(key).enumerated() {
      func place() -> JSONPath { fields.path.appending(key).appending(index) }
      guard case .int(let number) = value else {
        throw RowError(place(), "is \(value.kind == "a number" ? "no integer" : value.kind), want an integer")
      }
      guard let small = Int32(exactly: number), number >= 0 || number == -100, number >= least else {
        throw RowError(place(), "is \(number), want \(least < 0 ? "−100 or " : "")0 to \((limit ?? Int(Int32.max)) - 1)")
      }
      if let limit, number >= limit { throw RowError(place(), "is \(number), but the vocabulary has \(limit) ids, 0 to \(limit - 1)") }
      result.append(small)
    }
    return result
  }
}
