import Foundation
import SwiftletDatasets
import SwiftletFormats

/// The folder of the fixtures; nil, with a line that says so, where it is absent.
func fixtures(_ kind: String) -> String? {
  let root = ProcessInfo.processInfo.environment["SWIFTLET_FIXTURES"] ?? "../shared/fixtures"
  let folder = "\(root)/\(kind)"
  if FileManager.default.fileExists(atPath: folder) { return folder }
  print("skipped: no fixtures in \(folder)")
  return nil
}

/// A tokenizer for tests: a token a scalar, and `<|name|>` as one token with an id from 2,000,000 on.
func scalarCodec(markers: [String] = ["<|end|>", "<|user|>", "<|bot|>"], end: Int? = 2_000_000, stops: Set<Int> = []) -> TextCodec {
  TextCodec(
    encode: { text, _ in
      var ids: [Int] = []
      var offsets: [Range<Int>] = []
      let scalars = Array(text.unicodeScalars)
      var at = 0
      while at < scalars.count {
        let rest = String(String.UnicodeScalarView(scalars[at...].prefix(20)))
        let marker = markers.firstIndex { rest.hasPrefix($0) }
        let length = marker.map { markers[$0].unicodeScalars.count } ?? 1
        ids.append(marker.map { 2_000_000 + $0 } ?? Int(scalars[at].value))
        offsets.append(at..<at + length)
        at += length
      }
      return (ids, offsets)
    },
    decode: { ids in
      ids.map { $0 >= 2_000_000 ? markers[$0 - 2_000_000] : Unicode.Scalar(UInt32($0)).map { String($0) } ?? "" }.joined()
    }, end: end, stops: stops)
}

/// `<|user|>…<|bot|>…<|end|>\n`, the answer without its stop token.
func turnTemplate(stop: String = "<|end|>", source: String = "<|user|><|bot|><|end|>") -> ConversationTemplate {
  ConversationTemplate(source: source) { conversation in
    var text = ""
    var answers: [Range<Int>] = []
    for message in conversation.messages {
      let role = message["role"]?.string ?? ""
      if role == "tool" { throw DatasetError("no tools here") }
      text += role == "assistant" ? "<|bot|>" : "<|user|>"
      let start = text.unicodeScalars.count
      text += message["content"]?.string ?? ""
      if role == "assistant" { answers.append(start..<text.unicodeScalars.count) }
      text += "\(stop)\n"
    }
    return (text, answers)
  }
}
