import Foundation
import SwiftletFormats
import SwiftletTokenizers
import Testing

/// Every case of every tokenizer folder, exactly.
@Suite struct FixtureTests {
  @Test func huggingFaceCases() throws {
    var total = Tally()
    for name in Fixtures.tokenizers {
      let folder = Fixtures.folder(name)
      guard let expected = try Fixtures.json(folder + "/expected.json") else { continue }
      let tokenizer = try Tokenizer.load(folder: folder)
      var tally = Tally()
      if let size = expected["vocab_size_with_added"]?.int {
        tally.check(tokenizer.vocabularySize == size, "\(name): size \(tokenizer.vocabularySize)")
      }
      for item in expected["cases"]?.array ?? [] { try check(item, tokenizer, name, &tally) }
      for item in expected["pairs"]?.array ?? [] { try checkPair(item, tokenizer, name, &tally) }
      report(name, tally)
      total.passed += tally.passed
      total.failed += tally.failed
      total.samples += tally.samples.prefix(6)
    }
    if Fixtures.tokenizers.isEmpty { print("tokenizers: skipped, no fixtures in \(Fixtures.root)") }
    #expect(total.failed == 0, "\(total.samples.joined(separator: "\n"))")
  }

  @Test func sentencePieceCases() throws {
    var samples: [String] = []
    for name in Fixtures.tokenizers {
      let folder = Fixtures.folder(name)
      guard let expected = try Fixtures.json(folder + "/expected_sentencepiece.json"),
        let model = Fixtures.bytes(folder + "/tokenizer.model")
      else { continue }
      let tokenizer = try Tokenizer.load(model: model)
      var tally = Tally()
      for item in expected["cases"]?.array ?? [] {
        guard let text = item["t"]?.string, let ids = item["ids"]?.ints else { continue }
        let found = try tokenizer.encode(text, addSpecialTokens: false)
        tally.check(found == ids, "\(name): \(text.debugDescription): \(ids) wanted, found \(found)")
        let detailed = try tokenizer.encode(text, addSpecialTokens: false, specialTokensAsText: false)
        tally.check(
          detailed.ids == ids && detailed.offsets.count == ids.count, "\(name): \(text.debugDescription): with offsets \(detailed.ids)")
        let decoded = tokenizer.decode(ids)
        let wanted = item["decoded"]?.string ?? text
        tally.check(same(decoded, wanted), "\(name): decoded \(decoded.debugDescription), wanted \(wanted.debugDescription)")
      }
      report(name + " (SentencePiece)", tally)
      samples += tally.samples
    }
    #expect(samples.isEmpty, "\(samples.joined(separator: "\n"))")
  }

  private func report(_ name: String, _ tally: Tally) {
    print("tokenizers \(name): \(tally.passed) passed, \(tally.failed) failed, 0 skipped")
  }

  private func check(_ item: JSON, _ tokenizer: Tokenizer, _ name: String, _ tally: inout Tally) throws {
    guard let text = item["t"]?.string, let ids = item["ids"]?.ints else {
      return tally.check(false, "\(name): a case without t or ids")
    }
    let shown = text.debugDescription
    let special = item["ids_special"]?.ints ?? ids
    let asText = item["ids_specials_as_text"]?.ints ?? ids
    func compare(_ what: String, _ found: [Int], _ wanted: [Int]) {
      tally.check(found == wanted, "\(name): \(what) of \(shown): \(wanted) wanted, found \(found)")
    }
    compare("ids", try tokenizer.encode(text, addSpecialTokens: false), ids)
    compare("ids_special", try tokenizer.encode(text), special)
    compare("as text", try tokenizer.encodeIDs(text, addSpecialTokens: false, specialTokensAsText: true), asText)
    let detailed = try tokenizer.encode(text, addSpecialTokens: false, specialTokensAsText: false)
    compare("detailed ids", detailed.ids, ids)
    if let offsets = item["offsets"]?.array?.compactMap(\.ints) {
      let found = detailed.offsets.map { [$0.lowerBound, $0.upperBound] }
      tally.check(found == offsets, "\(name): offsets of \(shown): \(offsets) wanted, found \(found)")
    }
    let decoded = tokenizer.decode(ids)
    tally.check(same(decoded, item["decoded"]?.string ?? text), "\(name): decoded \(shown): found \(decoded.debugDescription)")
    let skipped = tokenizer.decode(special, skipSpecialTokens: true)
    tally.check(
      same(skipped, item["decoded_skip_special"]?.string ?? text),
      "\(name): decoded without special \(shown): found \(skipped.debugDescription)")
    checkStream(decoded, ids, tokenizer, "\(name): \(shown)", &tally)
  }

  /// The stream's parts are the whole text.
  private func checkStream(_ whole: String, _ ids: [Int], _ tokenizer: Tokenizer, _ shown: String, _ tally: inout Tally) {
    var stream = tokenizer.makeStream()
    var text = ""
    for id in ids { text += stream.append(id) }
    text += stream.finish()
    tally.check(same(text, whole), "\(shown): the stream gives \(text.debugDescription)")
  }

  private func checkPair(_ item: JSON, _ tokenizer: Tokenizer, _ name: String, _ tally: inout Tally) throws {
    guard let a = item["a"]?.string, let b = item["b"]?.string else { return tally.check(false, "\(name): a pair without texts") }
    let found = try tokenizer.encodePair(a, b)
    tally.check(found.ids == item["ids"]?.ints, "\(name): pair \(a), \(b): found \(found.ids)")
    tally.check(found.typeIDs == item["type_ids"]?.ints, "\(name): types of pair \(a), \(b): found \(found.typeIDs)")
  }
}
