import SwiftletCPU
import SwiftletFormats

/// Rows of one or more files, each row checked once when the set is opened and read again when it is asked for.
///
///     let data = try Dataset("train.jsonl", DatasetOptions(layout: .chat))
///     let (train, heldOut) = try data.holdOut(0.02, seed: 3407)
///
/// Memory is needed for an index of the rows only. Safe to use from many threads.
public struct Dataset: Sendable {
  /// How it was opened.
  public let options: DatasetOptions
  /// Rows that were left out as bad (`skipBadRows`), the first of them.
  public let skipped: [RowFinding]
  /// How many they are.
  public let skippedCount: Int
  private let files: [RowFile]
  private let rows: [Reference]

  private struct Reference: Sendable {
    let file: Int32
    let row: Int32
  }

  /// Opens a file of rows (JSONL or a JSON array), or all `.jsonl` and `.json` files of a folder in the order of their names.
  ///
  /// With layout `text`, `.txt` and `.md` files are documents of plain text, each a row as it stands in the file; a folder may hold both.
  /// - Throws: `DatasetError` that lists up to 20 bad rows by file, line, column and field, or says why a file is no file of rows.
  public init(_ path: String, _ options: DatasetOptions) throws {
    let files = try Self.paths(path, options.layout).map { try RowFile($0, isDocument: Self.isDocument($0, options.layout)) }
    var good: [Reference] = []
    var bad: [RowFinding] = []
    var badCount = 0
    for (number, file) in files.enumerated() {
      for row in file.places.indices {
        if let finding = Self.fault(in: file, row, options, isListed: badCount < DatasetError.listed) {
          if badCount < DatasetError.listed { bad.append(finding) }
          badCount += 1
        } else {
          good.append(Reference(file: Int32(truncatingIfNeeded: number), row: Int32(truncatingIfNeeded: row)))
        }
      }
    }
    guard badCount <= options.skipBadRows else { throw Self.error(path, bad, badCount, good.count, options) }
    guard !good.isEmpty else { throw Self.error(path, bad, badCount, 0, options) }
    self.init(options: options, skipped: bad, skippedCount: badCount, files: files, rows: good)
  }

  private init(options: DatasetOptions, skipped: [RowFinding], skippedCount: Int, files: [RowFile], rows: [Reference]) {
    self.options = options
    self.skipped = skipped
    self.skippedCount = skippedCount
    self.files = files
    self.rows = rows
  }

  private static func isDocument(_ path: String, _ layout: DataLayout) -> Bool {
    let name = path.lowercased()
    return layout == .text && (name.hasSuffix(".txt") || name.hasSuffix(".md"))
  }

  private static func paths(_ path: String, _ layout: DataLayout) throws -> [String] {
    switch Files.kind(path) {
    case .folder:
      let names = try Files.names(in: path).filter { $0.hasSuffix(".jsonl") || $0.hasSuffix(".json") || isDocument($0, layout) }
      guard !names.isEmpty else {
        let wanted = layout == .text ? ".jsonl, .json, .txt or .md" : ".jsonl or .json"
        throw DatasetError("\(path): the folder has no \(wanted) file")
      }
      return names.map { "\(path)/\($0)" }
    case .missing: throw DatasetError("\(path): no such file or folder")
    default: return [path]
    }
  }

  private static func fault(in file: RowFile, _ row: Int, _ options: DatasetOptions, isListed: Bool) -> RowFinding? {
    let place = file.places[row]
    do {
      _ = try example(in: file, row, options)
      return nil
    } catch let error as DocumentError {
      if isListed { return file.finding(row, offset: error.offset, error.message) }
    } catch let error as JSONError {
      if isListed { return file.finding(row, error) }
    } catch let error as RowError {
      if isListed { return file.finding(row, error.path, error.message) }
    } catch {
      return RowFinding(file: file.path, line: place.line, column: place.column, message: "\(error)", excerpt: "")
    }
    return RowFinding(file: file.path, line: place.line, column: place.column, message: "", excerpt: "")
  }

  private static func example(in file: RowFile, _ row: Int, _ options: DatasetOptions) throws -> Example {
    let bytes = try file.bytes(row)
    if file.isDocument { return .text(try DocumentError.text(bytes)) }
    let json = try JSON(parsing: bytes)
    return try Example(json, layout: options.layout, needsAnswer: options.trainOn == .responses, vocabulary: options.vocabulary)
  }

  private static func error(_ path: String, _ bad: [RowFinding], _ count: Int, _ good: Int, _ options: DatasetOptions) -> DatasetError {
    let more = count > bad.count ? ", of which \(bad.count) are listed" : ""
    let rows = count == 1 ? "1 row of \(good + count) is" : "\(count) rows of \(good + count) are"
    let fix = good > 0 ? "mend or remove them, or set skipBadRows: \(count)" : "check data.layout (\(options.layout.rawValue))"
    return DatasetError("\(path): \(rows) bad\(more)\n  fix: \(fix)", findings: bad, total: count)
  }

  /// Number of rows.
  public var count: Int { rows.count }

  /// Fingerprint of the files' bytes and of which rows are in this set, in which order.
  public var fingerprint: String {
    var hash = ContentHash()
    for file in files { hash.update(file.fingerprint) }
    hash.update(options.layout.rawValue)
    for row in rows {
      withUnsafeBytes(of: (row.file.littleEndian, row.row.littleEndian)) { hash.update($0) }
    }
    return hash.hex
  }

  /// File and line (from 1) of a row.
  public func origin(of index: Int) -> (file: String, line: Int) {
    let file = files[Int(rows[index].file)]
    return (file.path, file.places[Int(rows[index].row)].line)
  }

  /// Row `index`.
  /// - Throws: `DatasetError` where the file changed since it was opened.
  public func example(_ index: Int) throws -> Example {
    let reference = rows[index]
    let file = files[Int(reference.file)]
    do { return try Self.example(in: file, Int(reference.row), options) } catch {
      let place = origin(of: index)
      throw DatasetError("\(place.file):\(place.line): the file changed while it was in use (\(error))")
    }
  }

  /// The rows of `indices`, in that order.
  public func selecting(_ indices: some Sequence<Int>) -> Dataset {
    Dataset(options: options, skipped: skipped, skippedCount: skippedCount, files: files, rows: indices.map { rows[$0] })
  }

  /// Splits off rows to measure on, chosen by `seed` alone; both parts keep the order of the file.
  /// - Parameter share: a fraction below 1, or a number of rows from 1 on.
  /// - Throws: `DatasetError` where one of the parts would be empty.
  public func holdOut(_ share: Double, seed: UInt64) throws -> (train: Dataset, heldOut: Dataset) {
    guard share >= 0, share.isFinite else { throw DatasetError("holdOut: a fraction or a number of rows is wanted, found \(share)") }
    let wanted = share < 1 ? (share * Double(count)).rounded() : share.rounded()
    let held = share == 0 ? 0 : max(1, Int(exactly: min(wanted, Double(count))) ?? count)
    guard held < count else { throw DatasetError("holdOut: keeping back \(held) of \(count) rows leaves nothing to train on") }
    var isHeld = [Bool](repeating: false, count: count)
    for index in Permutation(count: count, seed: seed, stream: 0x686F_6C64_4F75_7400).prefix(held) { isHeld[index] = true }
    return (selecting(rows.indices.filter { !isHeld[$0] }), selecting(rows.indices.filter { isHeld[$0] }))
  }
}
