import Dispatch
import Synchronization

/// A data set rendered, tokenized and masked: every row once when it is made, to know lengths and find faults before training starts.
///
/// Rows stay in memory up to `cacheBudget` bytes; of a larger set only the lengths stay, and rows are rendered again when asked for.
public final class TokenizedDataset: Sendable {
  /// The rows' source.
  public let source: Dataset
  /// What made the rows.
  public let renderer: RowRenderer
  /// What is known of the set. `report.check()` says whether it can be trained on.
  public let report: DataReport
  /// Tokens of each row.
  public let lengths: [Int]
  private let indices: [Int]
  private let cache: [TokenizedRow]?

  /// Renders all rows, on all cores.
  /// - Throws: `DatasetError` that lists up to 20 rows that template or tokenizer refuse, where there are more than the options let be skipped.
  public init(_ source: Dataset, _ renderer: RowRenderer, cacheBudget: Int = 2 << 30) throws {
    self.source = source
    self.renderer = renderer
    var builder = Builder(source: source, renderer: renderer, cacheBudget: cacheBudget)
    let block = 2048
    for start in stride(from: 0, to: source.count, by: block) {
      let range = start..<min(source.count, start + block)
      for (index, result) in zip(range, Self.render(source, renderer, range)) { builder.add(index, result) }
    }
    try builder.finish()
    report = builder.report
    lengths = builder.lengths
    indices = builder.indices
    cache = builder.cache
  }

  typealias Rendered = Result<(row: TokenizedRow, facts: RowFacts), any Error>

  /// The rows of a range in order, rendered by all cores: each task takes the next sixteen.
  private static func render(_ source: Dataset, _ renderer: RowRenderer, _ range: Range<Int>) -> [Rendered] {
    let size = 16
    let tasks = (range.count + size - 1) / size
    let results = Mutex<[Int: [Rendered]]>([:])
    DispatchQueue.concurrentPerform(iterations: tasks) { task in
      let start = range.lowerBound + task * size
      let rows = (start..<min(range.upperBound, start + size)).map { index in Result { try renderer.render(try source.example(index)) } }
      results.withLock { $0[task] = rows }
    }
    return results.withLock { found in (0..<tasks).flatMap { found[$0] ?? [] } }
  }

  /// Number of rows that are trained on.
  public var count: Int { indices.count }

  /// Row `index`.
  /// - Throws: where the file changed since.
  public func row(_ index: Int) throws -> TokenizedRow {
    if let cache { return cache[index] }
    let row = try renderer.tokenize(try source.example(indices[index]))
    guard row.ids.count == lengths[index] else {
      let place = source.origin(of: indices[index])
      throw DatasetError("\(place.file):\(place.line): the file changed while it was in use")
    }
    return row
  }

  /// File and line of a row.
  public func origin(of index: Int) -> (file: String, line: Int) { source.origin(of: indices[index]) }
}

extension TokenizedDataset {
  /// Gathers rows in order.
  private struct Builder {
    let source: Dataset
    let renderer: RowRenderer
    let cacheBudget: Int
    var report = DataReport()
    var lengths: [Int] = []
    var indices: [Int] = []
    var cache: [TokenizedRow]? = []
    private var findings: [RowFinding] = []
    private var refused = 0
    private var markersTested = 0

    init(source: Dataset, renderer: RowRenderer, cacheBudget: Int) {
      self.source = source
      self.renderer = renderer
      self.cacheBudget = cacheBudget
    }

    mutating func add(_ index: Int, _ result: Rendered) {
      switch result {
      case .failure(let error): refuse(index, error)
      case .success(let (row, facts)):
        report.add(row, facts) {
          let place = source.origin(of: index)
          return "\(place.file):\(place.line)"
        }
        testMarkers(index)
        // Token rows are trained as they are: batches follow the file, whatever the labels.
        let isKept = source.options.layout == .tokens ? !row.ids.isEmpty : row.trainedTokens > 0
        if report.sample.isEmpty { report.sample = String(renderer.preview(row).prefix(1500)) }
        if isKept { keep(index, row) }
      }
    }

    private mutating func keep(_ index: Int, _ row: TokenizedRow) {
      indices.append(index)
      lengths.append(row.ids.count)
      cache?.append(row)
      if report.tokens * 8 + indices.count * 128 > cacheBudget { cache = nil }
    }

    private mutating func refuse(_ index: Int, _ error: any Error) {
      refused += 1
      guard findings.count < DatasetError.listed else { return }
      let place = source.origin(of: index)
      let message = (error as? DatasetError)?.summary ?? "the template or tokenizer refuses the row: \(error)"
      findings.append(RowFinding(file: place.file, line: place.line, column: 1, message: message, excerpt: ""))
    }

    private mutating func testMarkers(_ index: Int) {
      guard let template = renderer.template, markersTested < 8, source.options.layout != .tokens, source.options.layout != .text else {
        return
      }
      markersTested += 1
      guard let example = try? source.example(index), let text = try? renderer.text(of: example) else { return }
      for marker in TemplateMarkers.unknown(in: template.source, text: text.text, codec: renderer.codec)
      where !report.unknownMarkers.contains(marker) { report.unknownMarkers.append(marker) }
    }

    mutating func finish() throws(DatasetError) {
      report.skippedRows = source.skippedCount + refused
      guard refused == 0 || source.skippedCount + refused <= source.options.skipBadRows else {
        let listed = refused > findings.count ? ", of which \(findings.count) are listed" : ""
        throw DatasetError("\(refused) of \(source.count) rows cannot be rendered\(listed)", findings: findings, total: refused)
      }
    }
  }
}
