import Foundation
import SwiftletDatasets
import SwiftletFormats

/// What can be fuzzed. Each target gives the input to the same code that reads users' files, and checks what must hold of the result.
let targets: [String: @Sendable (UnsafeRawBufferPointer) -> Void] = [
  "safetensors": safetensors, "gguf": gguf, "json": json, "rows": rows, "yaml": yaml, "tokenizer": tokenizer,
  "sentencepiece": sentencePiece, "encode": encode, "jinja-source": jinjaSource, "jinja-render": jinjaRender,
]

/// Even first byte: the input is a file. Odd: it is a header, with its length before it and as many bytes behind it as the second and third
/// byte say, so that most inputs get past the first checks.
private func safetensors(_ input: UnsafeRawBufferPointer) {
  guard input.count > 3 else { return }
  var bytes = Array(input.dropFirst(3))
  if input[0] & 1 == 1 {
    let length = withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { Array($0) }
    bytes = length + bytes + [UInt8](repeating: 0, count: Int(input[1]) << 4 | Int(input[2]))
  }
  bytes.withUnsafeBytes { bytes in
    guard let header = try? SafetensorsHeader(parsing: bytes, file: "input") else { return }
    var place = header.entries.first?.range.lowerBound ?? bytes.count
    for entry in header.entries {
      precondition(entry.range.lowerBound == place, "a hole or an overlap at \(entry.name)")
      precondition(entry.dtype.byteCount(of: entry.shape) == entry.range.count, "\(entry.name): shape and bytes differ")
      place = entry.range.upperBound
    }
    precondition(place == bytes.count, "bytes behind the last tensor")
  }
}

private func json(_ input: UnsafeRawBufferPointer) {
  guard let value = try? JSON(parsing: input) else { return }
  for indent in [nil, 2] {
    let text = value.serialized(indent: indent)
    guard let again = try? JSON(parsing: text), again == value else { preconditionFailure("written JSON reads otherwise: \(text)") }
  }
}

private func yaml(_ input: UnsafeRawBufferPointer) {
  guard let text = String(validating: input, as: UTF8.self), let document = try? YAMLDocument(parsing: text) else { return }
  _ = document.place(of: JSONPath([.key("a"), .index(0)]))
  let written = document.value.yaml()
  guard let again = try? YAMLDocument(parsing: written), again.value == document.value else {
    preconditionFailure("written YAML reads otherwise: \(written)")
  }
}

private let rowFile = ScratchFile("jsonl")

/// The first byte chooses the layout and what is trained on.
private func rows(_ input: UnsafeRawBufferPointer) {
  guard let first = input.first else { return }
  let layout = DataLayout.allCases[Int(first >> 1) % DataLayout.allCases.count]
  rowFile.write(UnsafeRawBufferPointer(rebasing: input.dropFirst()))
  let options = DatasetOptions(layout: layout, trainOn: first & 1 == 0 ? .responses : .all, skipBadRows: Int(first >> 4), vocabulary: 100)
  do {
    let data = try Dataset(rowFile.path, options)
    for index in 0..<data.count { _ = try data.example(index) }
    precondition(data.skippedCount <= options.skipBadRows)
    for finding in data.skipped { precondition(finding.line >= 1 && finding.column >= 1) }
  } catch let error as DatasetError {
    for finding in error.findings { precondition(finding.line >= 1 && finding.column >= 1 && !finding.message.isEmpty) }
  } catch {}
}
