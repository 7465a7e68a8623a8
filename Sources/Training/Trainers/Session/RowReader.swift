import SwiftletCPU
import SwiftletCheckpoints
import SwiftletDatasets
import SwiftletFormats
import SwiftletTokenizers
import SwiftletTracking

/// Reads rows in a recipe's layout: rendered, tokenized and masked, or as they are for layout `tokens`.
struct RowReader {
  private let options: DatasetOptions
  private let renderer: RowRenderer
  /// How rows are put together; nil where each stays alone.
  private let packing: Packing?
  private let warn: (String) -> Void

  /// - Throws: where a layout of text has no tokenizer, or tokenizer or template cannot be read.
  init(_ recipe: Recipe, _ source: ModelSource, warn: @escaping (String) -> Void) throws {
    let layout = DataLayout(recipe.data.layout)
    let sft =
      switch recipe.method {
      case .sft(let options): options
      }
    let trainOn: TrainOn = sft.trainOn == .all ? .all : .responses
    options = DatasetOptions(layout: layout, trainOn: trainOn)
    // Documents go on in the next pack where they are too long; conversations are cut.
    packing = sft.packing ? (layout == .text ? .bfdSplit : .bfd) : nil
    renderer = try RowReader.renderer(
      layout, source, trainOn, contextLength: source.contextLength(recipe), keepsLongRows: packing == .bfdSplit)
    self.warn = warn
  }

  private static func renderer(
    _ layout: DataLayout, _ source: ModelSource, _ trainOn: TrainOn, contextLength: Int, keepsLongRows: Bool
  ) throws -> RowRenderer {
    guard layout != .tokens else {
      let codec = TextCodec(
        encode: { _, _ in throw TrainingError("rows of layout tokens have no text") },
        decode: { $0.map { "<\($0)>" }.joined() }, end: nil, stops: [])
      return RowRenderer(codec: codec, template: nil, trainOn: .all, contextLength: contextLength)
    }
    guard let folder = source.tokenizer else {
      throw TrainingError(
        "data.layout \(layout.rawValue) needs a tokenizer, the model has none\nfix: set model.tokenizer to a folder with tokenizer.json")
    }
    return try RowRenderer(
      tokenizer: Tokenizer.load(folder: folder), stopTokens: stopTokens(folder), trainOn: trainOn, contextLength: contextLength,
      keepsLongRows: keepsLongRows)
  }

  /// The ids under `eos_token_id` of `generation_config.json`.
  private static func stopTokens(_ folder: String) throws -> Set<Int> {
    let path = folder + "/generation_config.json"
    guard Files.kind(path) == .file, let stops = try JSON(parsing: Files.read(path))["eos_token_id"] else { return [] }
    return Set((stops.array ?? [stops]).compactMap(\.int))
  }

  /// - Throws: `DatasetError` that lists bad rows by file, line and field, or says why the rows cannot be trained on.
  func rows(_ path: String) throws -> [TokenRow] {
    let data = try TokenizedDataset(Dataset(path, options), renderer)
    try data.report.check()
    if options.layout != .tokens { data.report.warnings.forEach(warn) }
    return try (0..<data.count).map { index in
      let row = try data.row(index)
      return TokenRow(ids: row.ids, labels: row.labels)
    }
  }

  /// The rows packed into such of at most the context's length, where the recipe asks for it.
  func packed(_ rows: [TokenRow]) -> [TokenRow] {
    guard let packing else { return rows }
    return packing.packs(lengths: rows.map(\.ids.count), capacity: renderer.contextLength).map { pack in
      TokenRow(
        ids: pack.flatMap { rows[$0.row].ids[$0.range] }, labels: pack.flatMap { rows[$0.row].labels[$0.range] },
        lengths: pack.map(\.range.count))
    }
  }
}

extension DataLayout {
  init(_ option: DataLayoutOption) {
    switch option {
    case .alpaca: self = .alpaca
    case .sharegpt: self = .sharegpt
    case .chat: self = .chat
    case .text: self = .text
    case .tokens: self = .tokens
    }
  }
}
