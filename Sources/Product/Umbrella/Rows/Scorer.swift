import Foundation
import SwiftletLayers
import SwiftletTensorCore

/// The log-probabilities of given rows under a model.
public struct Scorer {
  private let model: LanguageModel
  private let rows: [[Int32]]

  /// Rows that share a forward pass have at most this many tokens together, unless one alone has more.
  private static let passTokens = 1024

  /// Turns rows into ids.
  /// - Throws: where a row needs a tokenizer or template that is not there, or an id is not the model's.
  public init(_ model: LanguageModel, _ rows: [TextRow]) throws {
    self.model = model
    self.rows = try rows.enumerated().map { index, row in
      let ids = try model.ids(row, generating: false, raw: true)
      try model.check(ids, row: index)
      return ids
    }
  }

  /// Scores all rows in order and hands each answer on as soon as it is there: `{"index","tokens","logprobs","sum","perplexity"}`, where
  /// `logprobs[0]` is null, as is the perplexity of a row with no token to predict.
  /// - Parameter path: also writes float32 `logits.<index>` [tokens, vocabulary] as safetensors, whole or not at all.
  public func run(logits path: String? = nil, _ each: (JSON) -> Void) throws {
    let width = model.network.vocabularySize
    let writer = try path.map { path in
      try SafetensorsWriter(
        path, tensors: rows.enumerated().map { SafetensorsPlan(name: "logits.\($0)", dtype: .f32, shape: [$1.count, width]) })
    }
    var start = 0
    while start < rows.count {
      var (end, tokens) = (start, 0)
      while end < rows.count, end == start || tokens + rows[end].count <= Self.passTokens {
        tokens += rows[end].count
        end += 1
      }
      try score(start..<end, writer, each)
      start = end
    }
    try writer?.finish()
  }

  private func score(_ range: Range<Int>, _ writer: SafetensorsWriter?, _ each: (JSON) -> Void) throws {
    let ids = rows[range].flatMap(\.self)
    guard !ids.isEmpty else { return range.forEach { each(Self.answer($0, [], [])) } }
    let lengths = rows[range].map(\.count)
    let context = ForwardContext(lengths: lengths.filter { $0 > 0 })
    let network = model.network
    let hidden = network.hidden(ids: ids, context)
    let options = network.headOptions(on: nil, context)
    let values = tokenLogProbabilities(
      hidden, network.headWeight(on: nil), targets: shiftedTargets(labels: ids, lengths: lengths), options)
    let found = values.array(Float.self)
    var place = 0
    for (index, length) in zip(range, lengths) {
      if let writer { try write(network.logits(hidden: hidden.rows(place..<place + length), context), writer) }
      each(Self.answer(index, Array(ids[place..<place + length]), Array(found[place..<place + max(0, length - 1)])))
      place += length
    }
  }

  private func write(_ logits: Tensor, _ writer: SafetensorsWriter) throws {
    let numbers = logits.moved(to: .cpu, part: .workspace).float32
    try withExtendedLifetime(numbers.storage) { try writer.append(UnsafeRawBufferPointer(numbers.floats)) }
  }

  private static func answer(_ index: Int, _ ids: [Int32], _ values: [Float]) -> JSON {
    let sum = values.reduce(0.0) { $0 + Double($1) }
    let perplexity = values.isEmpty ? JSON.null : .number(exp(-sum / Double(values.count)))
    return .object(
      JSONObject([
        ("index", .int(index)), ("tokens", .array(ids.map { .int(Int($0)) })),
        ("logprobs", .array(ids.isEmpty ? [] : [.null] + values.map { .number(Double($0)) })), ("sum", .number(sum)),
        ("perplexity", perplexity),
      ]))
  }
}
