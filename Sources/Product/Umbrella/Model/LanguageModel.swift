import Foundation
import SwiftletHub
import SwiftletTensorCore

/// A language model with its tokenizer and chat template: what training, generation and export work on.
///
/// ```swift
/// let model = try await LanguageModel.load("models/qwen")
/// try model.add(LoRA(rank: 16, alpha: 32))
/// for try await piece in model.generate("Name three rivers.") { print(piece, terminator: "") }
/// ```
///
/// Used by one task at a time (`@unchecked Sendable`).
public final class LanguageModel: @unchecked Sendable {
  /// Where it was loaded from.
  public let location: ModelLocation
  /// The network: parameters, adapter, forward pass.
  public let network: CausalLM
  /// Tokenizer and template; nil where the folder has no tokenizer.
  public let text: ModelText?
  /// The longest sequence that `generate` fills, in tokens.
  public let contextLength: Int
  /// With `dynamic4bit`, what was measured, and what stays in 16 bits; nil where the run of the adapter says it.
  public let choice: FourBitChoice?
  private let configuredStops: Set<Int32>
  private let precision: WeightPrecision

  /// Loads a model.
  /// - Parameters:
  ///   - location: where it lies.
  ///   - weights: precision of the weights in memory. For `dynamic4bit` the layers are measured, unless the run that an adapter comes from has
  ///     it on record which of them it left in 16 bits.
  ///   - device: where it lies and computes.
  ///   - contextLength: nil takes the model's own.
  /// - Throws: where a file is missing or makes no sense, naming file and field.
  public init(
    _ location: ModelLocation, as weights: WeightPrecision = .stored, on device: Device = .cpu, contextLength: Int? = nil
  ) throws {
    self.location = location
    let base = try location.requireBase()
    precision = weights
    let recorded = try weights == .dynamic4bit ? location.adapter.flatMap(FourBitChoice.scheme(recordedIn:)) : nil
    choice =
      try weights == .dynamic4bit && recorded == nil ? FourBitChoice(measuring: base, text: location.text, on: device) : nil
    let scheme = recorded ?? choice?.scheme
    network = try ModelLoader.load(base, as: weights, on: device, adapter: location.adapter, placing: { $0.coding(by: scheme) })
    text = try ModelText(ifIn: location.text)
    self.contextLength = contextLength ?? network.decoder.maxPositions
    configuredStops = try ModelText.configuredStops(in: base)
  }

  /// Finds and loads a model: a folder, a run folder, or a repository in the Hugging Face cache.
  public static func load(
    _ name: String, as weights: WeightPrecision = .stored, on device: Device = .cpu, adapter: String? = nil, contextLength: Int? = nil
  ) async throws -> LanguageModel {
    try LanguageModel(ModelLocation.find(name, adapter: adapter), as: weights, on: device, contextLength: contextLength)
  }

  /// Puts a fresh adapter on; the base's weights stay frozen.
  /// - Throws: `LoRAError` where it matches no module.
  public func add(_ lora: LoRA, seed: UInt64 = 0) throws { try network.add(lora, seed: seed) }

  /// Writes the adapter or the merged model with tokenizer and template, whole or not at all, reads it back, and compares the answers: on
  /// rows of the run that the weights come from, or on ids spread over the vocabulary where there is no run.
  @discardableResult
  public func save(_ format: ModelExport.Format, to path: String) async throws -> ModelExport.Report {
    try export(format, to: path)
  }

  /// `save` for callers that do not wait.
  /// - Parameters:
  ///   - calibration: rows of token ids on which `dynamic4bit` measures; empty takes a text of its own.
  ///   - device: where `dynamic4bit` measures a model in host memory that has no adapter; any other is measured where it lies.
  public func export(
    _ format: ModelExport.Format, to path: String, calibration: [[Int32]] = [], measuringOn device: Device = .cpu
  ) throws -> ModelExport.Report {
    let base = try location.requireBase()
    let samples = RunSamples.near(location.adapter ?? base, vocabulary: network.vocabularySize)
    let export = ModelExport(
      network, base: base, text: location.text, precision: precision, samples: samples, calibration: calibration, measuringOn: device)
    return try export.write(format, to: path)
  }

  /// The beginnings of rows as token ids to measure on: of each at most 256 tokens, 8,192 in all.
  /// - Throws: where a row cannot be tokenized, or has an id that the model does not have.
  public func calibrationRows(_ rows: [TextRow]) throws -> [[Int32]] {
    var (found, left): ([[Int32]], Int) = ([], CalibrationText.tokens)
    for (index, row) in rows.enumerated() where left > 0 {
      let ids = try ids(row, generating: false, raw: false)
      try check(ids, row: index)
      found.append(Array(ids.prefix(min(CalibrationText.rowTokens, left))))
      left -= found[found.count - 1].count
    }
    guard found.contains(where: { !$0.isEmpty }) else {
      throw Failure(
        "nothing to measure on", at: "--calibration", why: "the rows have no tokens", fix: "give rows with text, or leave it out")
    }
    return found
  }

  /// Ids that end an answer: those of generation config, config, tokenizer and template.
  public var stopIDs: Set<Int32> { configuredStops.union(text?.stopIDs ?? []) }

  /// Whether the model has a chat template.
  public var hasTemplate: Bool { text?.hasTemplate ?? false }

  /// A fresh engine over the network.
  public func engine(_ options: EngineOptions = EngineOptions()) -> Engine { Engine(model: network, options: options) }

  /// Tokenizer and template.
  /// - Throws: `Failure` where there is no tokenizer.
  public func requireText() throws -> ModelText {
    guard let text else {
      throw Failure(
        "no tokenizer", at: location.text, why: "neither tokenizer.json nor tokenizer.model is in the folder",
        fix: "copy the model's tokenizer files into it, or give token ids (\"input_ids\")")
    }
    return text
  }

  /// The ids of a row. To generate, prompts and conversations end where the answer begins.
  /// - Parameter raw: leaves a prompt as it is instead of putting it through the template.
  public func ids(_ row: TextRow, generating: Bool, raw: Bool) throws -> [Int32] {
    switch row.content {
    case .ids(let ids): return ids
    case .text(let string): return try requireText().encode(string)
    case .prompt(let string):
      let text = try requireText()
      guard !raw, text.hasTemplate else { return try text.encode(string) }
      let message = JSONObject([("role", .string("user")), ("content", .string(string))])
      return try text.encode(messages: [.object(message)], tools: nil, addGenerationPrompt: generating)
    case .messages(let messages, let tools):
      return try requireText().encode(messages: messages, tools: tools, addGenerationPrompt: generating)
    }
  }

  /// - Throws: `Failure` where an id is not one of the model's.
  public func check(_ ids: [Int32], row: Int) throws {
    guard let bad = ids.first(where: { $0 < 0 || Int($0) >= network.vocabularySize }) else { return }
    throw Failure(
      "a token id that the model does not have", at: "row \(row): \(bad)", why: "the model has ids from 0 to \(network.vocabularySize - 1)",
      fix: "use this model's own tokenizer")
  }

  /// An answer of generated ids as text and reason; special tokens and the stop token are left out of the text.
  func answer(_ index: Int, _ tokens: [Int32], _ reason: FinishReason) -> GeneratedText {
    let said = reason == .stop ? tokens.dropLast() : tokens
    return GeneratedText(index: index, text: text?.decode(said), tokens: tokens, finishReason: reason)
  }

  /// Streams the answer to a prompt, piece by piece.
  public func generate(_ prompt: String, options: GenerationOptions = GenerationOptions()) -> AsyncThrowingStream<String, any Error> {
    AsyncThrowingStream { continuation in
      let task = Task {
        do {
          try Generator(self, [TextRow(prompt: prompt)], options: options).run {
            continuation.yield($0)
          } finished: { _ in
          }
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }
}
