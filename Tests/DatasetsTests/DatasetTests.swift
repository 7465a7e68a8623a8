import Foundation
import SwiftletDatasets
import SwiftletFormats
import Testing

@Suite struct DatasetTests {
  private func lines(_ rows: [String], ending: String = "\n") -> String { rows.map { $0 + ending }.joined() }

  @Test func layouts() throws {
    let folder = try TemporaryFolder()
    func first(_ row: String, _ layout: DataLayout) throws -> Example {
      try Dataset(try folder.write("a.jsonl", row), DatasetOptions(layout: layout)).example(0)
    }
    #expect(
      try first(#"{"instruction":"a","input":"","output":"b"}"#, .alpaca) == .instruction(Instruction(instruction: "a", output: "b")))
    #expect(
      try first(#"{"output":"b","instruction":"a","input":"i","system":"s","more":1}"#, .alpaca)
        == .instruction(Instruction(instruction: "a", input: "i", output: "b", system: "s")))
    #expect(try first(#"{"text":"é\n"}"#, .text) == .text("é\n"))
    #expect(try first(#"{"input_ids":[1,2],"labels":[-100,2]}"#, .tokens) == .tokens(ids: [1, 2], labels: [-100, 2]))
    #expect(try first(#"{"input_ids":[1,2]}"#, .tokens) == .tokens(ids: [1, 2], labels: [1, 2]))
    let expected = try JSON(parsing: #"[{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}]"#)
    for row in [
      #"{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}],"system":"s"}"#,
      #"{"conversation":[{"from":"system","value":"s"},{"role":"User","content":"q"},{"from":"model","value":"a"}]}"#,
    ] {
      guard case .conversation(let found) = try first(row, .sharegpt) else { throw DatasetError("no conversation") }
      #expect(JSON.array(found.messages) == expected)
    }
    let chat =
      #"{"messages":[{"role":"user","content":[{"type":"text","text":"q"}]},"#
      + #"{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":{}}}]}],"tools":"[{\"a\":1}]"}"#
    guard case .conversation(let found) = try first(chat, .chat) else { throw DatasetError("no conversation") }
    #expect(found.messages.count == 2 && found.tools == .array([.object(JSONObject([("a", .int(1))]))]))
  }

  @Test func everyFormOfAFileGivesTheSameRows() throws {
    let folder = try TemporaryFolder()
    let texts = (0..<2500).map { "row \($0) [{\"\\ é" + String(repeating: "x", count: $0 % 997) }
    let rows = texts.map { JSON.object(JSONObject([("text", .string($0))])) }
    let plain = lines(rows.map { $0.serialized() })
    let forms: [String] = [
      plain, String(plain.dropLast()), lines(rows.map { $0.serialized() }, ending: "\r\n"), "\u{FEFF}" + plain, "\n \n" + plain + "\n\n",
      JSON.array(rows).serialized(), "\u{FEFF} " + JSON.array(rows).serialized(indent: 2) + "\n",
    ]
    for (number, form) in forms.enumerated() {
      let data = try Dataset(try folder.write("\(number).json", form), DatasetOptions(layout: .text))
      #expect(data.count == texts.count)
      for index in [0, 1, 996, 2499] { #expect(try data.example(index) == .text(texts[index]), "form \(number), row \(index)") }
    }
    let whole = try Dataset(folder.path, DatasetOptions(layout: .text))
    #expect(whole.count == forms.count * texts.count)
    #expect(whole.origin(of: 4 * 2500 + 2) == ("\(folder.path)/4.json", 5))
    #expect(whole.origin(of: 6 * 2500).line == 2)
  }

  /// A folder of plain text: each document is a row as it stands in its file.
  @Test func documents() throws {
    let folder = try TemporaryFolder()
    let texts = ["# A title\n\n- [a](b)\r\n  \n", "[1, 2]", "é\u{301} {\"text\": 5}\n"]
    try folder.write("a.md", texts[0])
    try folder.write("b.txt", "\u{FEFF}" + texts[1])
    try folder.write("c.jsonl", "{\"text\":\"row\"}\n{\"text\":\"other\"}\n")
    try folder.write("d.Txt", texts[2])
    try folder.write("e.py", "print(1)")
    let options = DatasetOptions(layout: .text)
    let data = try Dataset(folder.path, options)
    let found = try (0..<data.count).map { try data.example($0) }
    #expect(found == [.text(texts[0]), .text(texts[1]), .text("row"), .text("other"), .text(texts[2])])
    #expect(data.origin(of: 1) == ("\(folder.path)/b.txt", 1) && data.origin(of: 3).line == 2)
    #expect(try Dataset("\(folder.path)/a.md", options).example(0) == .text(texts[0]))
    let before = data.fingerprint
    try folder.write("d.Txt", texts[2] + " ")
    #expect(try Dataset(folder.path, options).fingerprint != before)
    #expect(try Dataset(folder.path, DatasetOptions(layout: .text, skipBadRows: 1)).count == 5)
    // Other layouts do not look at documents.
    #expect(message { try Dataset(folder.path, DatasetOptions(layout: .chat)) }?.contains("c.jsonl:1:") == true)
  }

  @Test func fingerprints() throws {
    let folder = try TemporaryFolder()
    let options = DatasetOptions(layout: .text)
    func print(_ text: String) throws -> String { try Dataset(try folder.write("a.jsonl", text), options).fingerprint }
    let base = lines((0..<50).map { "{\"text\":\"\($0)\"}" })
    let changed = base.replacingOccurrences(of: "\"7\"", with: "\"8\"")
    #expect(try print(base) == print(base))
    #expect(try print(base) != print(changed))
    let data = try Dataset(try folder.write("a.jsonl", base), options)
    #expect(data.selecting([0, 1]).fingerprint != data.selecting([1, 0]).fingerprint)
    let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    var whole = ContentHash()
    bytes.withUnsafeBytes { whole.update($0) }
    for size in [1, 3, 8, 13, 999] {
      var pieces = ContentHash()
      for start in stride(from: 0, to: bytes.count, by: size) {
        Array(bytes[start..<min(bytes.count, start + size)]).withUnsafeBytes { pieces.update($0) }
      }
      #expect(pieces.hex == whole.hex)
    }
    for bit in stride(from: 0, to: 8000, by: 37) {
      var flipped = bytes
      flipped[bit / 8] ^= 1 << (bit % 8)
      var hash = ContentHash()
      flipped.withUnsafeBytes { hash.update($0) }
      #expect(hash.hex != whole.hex)
    }
  }

  @Test func holdOut() throws {
    let folder = try TemporaryFolder()
    let data = try Dataset(try folder.write("a.jsonl", lines((0..<200).map { "{\"text\":\"\($0)\"}" })), DatasetOptions(layout: .text))
    for (share, held) in [(0.02, 4), (0.5, 100), (0.001, 1), (0, 0), (7, 7)] {
      let parts = try data.holdOut(share, seed: 1)
      #expect(parts.heldOut.count == held && parts.train.count == 200 - held)
      let lines = (0..<parts.train.count).map { parts.train.origin(of: $0).line } + (0..<held).map { parts.heldOut.origin(of: $0).line }
      #expect(Set(lines).count == 200)
      #expect(lines.prefix(200 - held).elementsEqual(lines.prefix(200 - held).sorted()))
      #expect(try data.holdOut(share, seed: 1).heldOut.fingerprint == parts.heldOut.fingerprint)
    }
    #expect(try data.holdOut(0.5, seed: 1).heldOut.fingerprint != data.holdOut(0.5, seed: 2).heldOut.fingerprint)
    for share in [200.0, 1e300, -0.1, .nan, .infinity] {
      #expect(message { try data.holdOut(share, seed: 1) }?.contains("holdOut") == true)
    }
  }

  @Test func badRowsAreListed() throws {
    let folder = try TemporaryFolder()
    var rows = (0..<60).map { "{\"text\":\"\($0)\"}" }
    for index in 10..<35 { rows[index] = "{\"text\": \(index)}" }
    let path = try folder.write("a.jsonl", lines(rows))
    let found = message { try Dataset(path, DatasetOptions(layout: .text)) } ?? ""
    #expect(found.contains("\(path):11:10: \"text\" is a number, want a string\n    {\"text\": 10}"))
    #expect(found.contains("25 rows of 60 are bad, of which 20 are listed") && found.contains("skipBadRows: 25"))
    #expect(!found.contains(":31:"))
    #expect(message { try Dataset(path, DatasetOptions(layout: .text, skipBadRows: 24)) } != nil)
    let data = try Dataset(path, DatasetOptions(layout: .text, skipBadRows: 25))
    #expect(data.count == 35 && data.skippedCount == 25 && data.origin(of: 10).line == 36)
  }
}

@Suite struct PermutationTests {
  @Test func everyElementOnce() {
    for count in [0, 1, 2, 3, 4, 5, 17, 64, 1000, 4097] {
      for stream in 0..<3 as Range<UInt64> {
        let order = Array(Permutation(count: count, seed: 7, stream: stream))
        #expect(order.sorted() == Array(0..<count))
      }
    }
    #expect(Array(Permutation(count: 100, seed: 1, stream: 0)) != Array(Permutation(count: 100, seed: 2, stream: 0)))
    #expect(Array(Permutation(count: 100, seed: 1, stream: 0)) != Array(Permutation(count: 100, seed: 1, stream: 1)))
    let large = Permutation(count: 5_000_000_000, seed: 1, stream: 0)
    #expect((0..<1000).allSatisfy { (0..<5_000_000_000).contains(large[$0]) })
  }

  /// Over many seeds each element comes to each place about equally often: χ² of the 5 × 5 table, and of all 24 orders of 4.
  @Test func ordersAreUniform() {
    let trials = 12_000
    var places = [Int](repeating: 0, count: 25)
    var orders: [[Int]: Int] = [:]
    for seed in 0..<UInt64(trials) {
      for (place, element) in Permutation(count: 5, seed: seed, stream: 3).enumerated() { places[place * 5 + element] += 1 }
      orders[Array(Permutation(count: 4, seed: 9, stream: seed)), default: 0] += 1
    }
    func chiSquare(_ counts: [Int], _ expected: Double) -> Double { counts.reduce(0) { $0 + pow(Double($1) - expected, 2) / expected } }
    // 16 and 23 degrees of freedom: 50 and 60 are passed by chance less than once in 20,000.
    #expect(chiSquare(places, Double(trials) / 5) < 50)
    #expect(orders.count == 24 && chiSquare(Array(orders.values), Double(trials) / 24) < 60)
  }
}
