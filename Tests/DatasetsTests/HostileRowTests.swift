import Foundation
import SwiftletDatasets
import SwiftletFormats
import Testing

/// Rows that data sets really have, each named by file, line, column and field.
@Suite struct HostileRowTests {
  private func chat(_ messages: String) -> String { "{\"messages\":\(messages)}" }
  private func turns(_ second: String) -> String { chat("[{\"role\":\"user\",\"content\":\"q\"},\(second)]") }

  private var chatRows: [(String, String)] {
    let answer = "{\"role\":\"assistant\",\"content\":\"a\"}"
    return [
      ("{}", ":1: \"messages\" is missing, want an array (the row has no fields)"), ("{\"message\":[]}", "did you mean \"message\"?"),
      ("[1]", "the row is an array, want an object"), ("\"x\"", "the row is a string"), ("null", "the row is null"),
      ("7", "the row is a number"),
      (chat("\"x\""), ":13: \"messages\" is a string, want an array"), (chat("null"), "\"messages\" is null"),
      (chat("{}"), "\"messages\" is an object"),
      (chat("[]"), "\"messages\" is an empty array"), (chat("[1]"), ":14: \"messages\"[0] is a number, want an object"),
      (chat("[null]"), "\"messages\"[0] is null"),
      (chat("[[]]"), "\"messages\"[0] is an array"), (chat("[{}]"), "\"messages\"[0].role is missing, want a string"),
      (turns("{\"content\":\"a\"}"), ":44: \"messages\"[1].role is missing"),
      (turns("{\"role\":1,\"content\":\"a\"}"), ":52: \"messages\"[1].role is a number, want a string"),
      (turns("{\"role\":null,\"content\":\"a\"}"), "\"messages\"[1].role is null"),
      (
        turns("{\"role\":\"gpt\",\"content\":\"a\"}"),
        "\"messages\"[1].role is \"gpt\", want one of system developer user assistant tool (did you mean \"assistant\"?"
      ),
      (turns("{\"role\":\"Assistant\",\"content\":\"a\"}"), "did you mean \"assistant\"?"),
      (turns("{\"role\":\"\",\"content\":\"a\"}"), "role is \"\""),
      (turns("{\"role\":\"assistant\"}"), "\"messages\"[1].content is missing"),
      (turns("{\"role\":\"assistant\",\"content\":5}"), ":74: \"messages\"[1].content is a number, want a string"),
      (turns("{\"role\":\"assistant\",\"content\":null}"), "\"messages\"[1].content is null"),
      (turns("{\"role\":\"assistant\",\"content\":true}"), "content is a Boolean"),
      (turns("{\"role\":\"assistant\",\"content\":{}}"), "content is an object"),
      (turns("{\"role\":\"assistant\",\"content\":\"\"}"), "content is empty"),
      (chat("[{\"role\":\"user\",\"content\":\"\"},\(answer)]"), "\"messages\"[0].content is empty"),
      (turns("{\"role\":\"assistant\",\"content\":[]}"), "content is an empty array"),
      (turns("{\"role\":\"assistant\",\"content\":[1]}"), "\"messages\"[1].content[0] is a number"),
      (turns("{\"role\":\"assistant\",\"content\":[{}]}"), "content[0].type is missing"),
      (turns("{\"role\":\"assistant\",\"content\":[{\"type\":\"image\"}]}"), "content[0].type is \"image\": only \"text\""),
      (turns("{\"role\":\"assistant\",\"content\":[{\"type\":\"text\"}]}"), "content[0].text is missing"),
      (turns("{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":1}]}"), "content[0].text is a number"),
      (turns("{\"role\":\"assistant\",\"tool_calls\":1}"), "\"messages\"[1].tool_calls is a number, want an array"),
      (turns("{\"role\":\"assistant\",\"tool_calls\":[]}"), "tool_calls is an empty array"),
      (turns("{\"role\":\"assistant\",\"tool_calls\":[1]}"), "tool_calls[0] is a number"),
      (turns("{\"role\":\"assistant\",\"tool_calls\":[{\"function\":1}]}"), "tool_calls[0].function is a number"),
      (turns("{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{}}]}"), "tool_calls[0].function.name is missing"),
      (turns("{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"\"}}]}"), "function.name is empty"),
      (
        turns("{\"role\":\"assistant\",\"tool_calls\":[{\"name\":\"f\",\"arguments\":[]}]}"),
        "tool_calls[0].arguments is an array, want an object"
      ),
      (turns("{\"role\":\"user\",\"content\":\"a\",\"tool_calls\":[{\"name\":\"f\"}]}"), "tool_calls stands in a turn of role \"user\""),
      (turns("{\"role\":\"user\",\"content\":\"b\"}"), "\"messages\" has no assistant turn"),
      ("{\"messages\":[\(answer)],\"tools\":5}", "\"tools\" is a number, want an array"),
      ("{\"messages\":[\(answer)],\"tools\":[1]}", "\"tools\"[0] is a number"),
      ("{\"messages\":[\(answer)],\"tools\":\"[\"}", "\"tools\" is a string that is not JSON"),
      ("{\"messages\":[\(answer)],\"messages\":[]}", "not JSON: the key \"messages\" stands twice"),
    ]
  }

  private var otherRows: [(DataLayout, String, String)] {
    func share(_ turn: String) -> String { "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},\(turn)]}" }
    return [
      (.alpaca, "{\"input\":\"\",\"output\":\"x\"}", "\"instruction\" is missing, want a string (there are \"input\" \"output\")"),
      (.alpaca, "{\"instruction\":\"x\"}", "\"output\" is missing"),
      (.alpaca, "{\"instruction\":\" \",\"output\":\"x\"}", "\"instruction\" is empty"),
      (.alpaca, "{\"instruction\":\"x\",\"output\":\"\"}", ":29: \"output\" is empty: there is no answer"),
      (.alpaca, "{\"instruction\":1,\"output\":\"x\"}", "\"instruction\" is a number"),
      (.alpaca, "{\"instruction\":\"x\",\"input\":[],\"output\":\"x\"}", "\"input\" is an array, want a string"),
      (.alpaca, "{\"instruction\":\"x\",\"output\":null}", "\"output\" is null"),
      (.alpaca, "{\"instruction\":\"x\",\"ouput\":\"y\"}", "did you mean \"ouput\"?"),
      (.alpaca, "{\"instruction\":\"x\",\"output\":\"y\",\"system\":1}", "\"system\" is a number"),
      (.sharegpt, "{}", "\"conversations\" is missing"), (.sharegpt, "{\"conversations\":[]}", "is an empty array"),
      (.sharegpt, share("{\"value\":\"a\"}"), "\"conversations\"[1].from is missing"),
      (.sharegpt, share("{\"from\":\"gpt\"}"), "\"conversations\"[1].value is missing"),
      (.sharegpt, share("{\"from\":\"nobody\",\"value\":\"a\"}"), "from is \"nobody\", want one of"),
      (.sharegpt, share("{\"from\":\"gpt\",\"value\":\"\"}"), "value is empty"),
      (.sharegpt, share("{\"from\":\"gpt\",\"value\":3}"), "value is a number"),
      (.sharegpt, share("{\"from\":\"human\",\"value\":\"b\"}"), "has no assistant turn"),
      (.sharegpt, share("5"), "\"conversations\"[1] is a number"),
      (.text, "{\"text\":1}", ":9: \"text\" is a number"), (.text, "{\"text\":\"\"}", "\"text\" is empty"),
      (.text, "{\"txt\":\"a\"}", "did you mean \"txt\"?"), (.text, "\"bare\"", "the row is a string"),
      (.tokens, "{\"labels\":[1]}", "\"input_ids\" is missing"), (.tokens, "{\"input_ids\":[]}", "\"input_ids\" is an empty array"),
      (.tokens, "{\"input_ids\":\"1 2\"}", "is a string, want an array"),
      (.tokens, "{\"input_ids\":[1,\"2\"]}", ":17: \"input_ids\"[1] is a string, want an integer"),
      (.tokens, "{\"input_ids\":[1.5]}", "\"input_ids\"[0] is no integer"),
      (.tokens, "{\"input_ids\":[1.0]}", "is no integer"), (.tokens, "{\"input_ids\":[-1]}", "is -1, want 0 to 99"),
      (.tokens, "{\"input_ids\":[-100]}", "is -100, want 0 to 99"),
      (.tokens, "{\"input_ids\":[100]}", "is 100, but the vocabulary has 100 ids"),
      (.tokens, "{\"input_ids\":[4294967297]}", "is 4294967297, want"),
      (.tokens, "{\"input_ids\":[9223372036854775808]}", "is no integer"),
      (.tokens, "{\"input_ids\":[1],\"labels\":[]}", "\"labels\" is an empty array"),
      (.tokens, "{\"input_ids\":[1],\"labels\":[1,2]}", "\"labels\" has 2 elements, \"input_ids\" has 1"),
      (.tokens, "{\"input_ids\":[1],\"labels\":[-101]}", "\"labels\"[0] is -101, want −100 or 0 to 99"),
      (.tokens, "{\"input_ids\":[1],\"labels\":[-1]}", "\"labels\"[0] is -1"),
      (.tokens, "{\"input_ids\":[[1]]}", "\"input_ids\"[0] is an array"),
      (.text, "{\"text\":\"a\"", ":12: not JSON: ',' or '}' is wanted"),
      (.text, "{\"text\":\"a\",}", ":13: not JSON: a key in quotation marks"),
      (.text, "{\"text\":\"a}", ":9: not JSON: a string without an end"),
      (.text, "{\"text\":\"a\"},", "not JSON: text after the end"), (.text, "{'text':'a'}", "not JSON: a key in quotation marks"),
      (.text, "{\"text\":NaN}", "not JSON"),
      (.text, "text", "not JSON"), (.text, "{\"text\":\"\\ud800\"}", ":10: not JSON: half of a surrogate pair"),
      (.text, "{\"text\":\"a\\u0000\t\"}", "not JSON: a control character"),
    ]
  }

  @Test func rowsAreNamedByPlaceAndField() throws {
    let folder = try TemporaryFolder()
    let good: [DataLayout: String] = [
      .alpaca: "{\"instruction\":\"a\",\"output\":\"b\"}", .text: "{\"text\":\"a\"}", .tokens: "{\"input_ids\":[1]}",
      .chat: chat("[{\"role\":\"assistant\",\"content\":\"a\"}]"), .sharegpt: "{\"conversations\":[{\"from\":\"gpt\",\"value\":\"a\"}]}",
    ]
    let cases = chatRows.map { (DataLayout.chat, $0.0, $0.1) } + otherRows
    for (layout, row, part) in cases {
      let path = try folder.write("rows.jsonl", "\(good[layout] ?? "")\r\n\n\(row)\r\n\(good[layout] ?? "")\n")
      let options = DatasetOptions(layout: layout, vocabulary: 100)
      let found = message { try Dataset(path, options) } ?? "accepted"
      #expect(found.contains("\(path):3:") && found.contains(part), "\(row): \(found)")
      var lenient = options
      lenient.skipBadRows = 1
      #expect(try Dataset(path, lenient).count == 2, "\(row)")
    }
    #expect(cases.count >= 90)
  }

  @Test func filesAreRefused() throws {
    let folder = try TemporaryFolder()
    let row = "{\"text\":\"a\"}"
    let utf16 = Array(row.utf16).flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
    let cases: [(String, [UInt8], String)] = [
      ("empty", [], "the file is empty (0 bytes)"), ("white space", Array(" \n\n".utf8), "no rows"),
      ("mark only", [0xEF, 0xBB, 0xBF], "no rows"),
      ("UTF-16 with mark", [0xFF, 0xFE] + utf16, "UTF-16"), ("UTF-16 without", utf16, "UTF-16"),
      ("big-endian", [0xFE, 0xFF, 0, 0x7B], "UTF-16"),
      ("UTF-32", [0x7B, 0, 0, 0], "UTF-16 or UTF-32"), ("gzip", [0x1F, 0x8B, 8, 0], "compressed (gzip)"),
      ("zstd", [0x28, 0xB5, 0x2F, 0xFD], "compressed (zstd)"),
      ("parquet", Array("PAR1....".utf8), "Parquet"), ("empty array", Array("[]".utf8), "no rows"),
      ("open array", Array("[".utf8), ":1:2: the file ends inside the array"),
      ("cut array", Array("[\(row),\n\(row)".utf8), ":2:13: the file ends inside the array"),
      ("cut row", Array("[{\"text\":".utf8), "the file ends inside the array"),
      ("trailing comma", Array("[\(row),]".utf8), ":1:15: a row is wanted after ','"),
      ("leading comma", Array("[,\(row)]".utf8), "a row is wanted"),
      ("no comma", Array("[\(row) \(row)]".utf8), ":1:15: ',' or ']' is wanted after a row"),
      ("text behind", Array("[\(row)]\nx".utf8), ":2:1: text after the end"),
      ("two arrays", Array("[\(row)][\(row)]".utf8), "text after the end"),
      ("Latin-1", Array("{\"text\":\"".utf8) + [0xE9] + Array("\"}".utf8), "not UTF-8"),
      ("one object over lines", Array("{\n\"text\": \"a\"\n}".utf8), ":1:2: not JSON"),
      ("bad row in an array", Array("[\(row),\n {\"text\": 5}]".utf8), ":2:11: \"text\" is a number"),
      ("scalar rows", Array("[1,\"x,]\",null]".utf8), ":1:2: the row is a number"),
      ("brackets", Array("[{]}]".utf8), ":1:4: ',' or ']' is wanted"),
    ]
    for (name, bytes, part) in cases {
      let path = try folder.write("rows.jsonl", bytes)
      let found = message { try Dataset(path, DatasetOptions(layout: .text)) } ?? "accepted"
      #expect(found.contains(part) && found.contains(path), "\(name): \(found)")
    }
    #expect(message { try Dataset("\(folder.path)/none", DatasetOptions(layout: .text)) }?.contains("no such file") == true)
    try FileManager.default.createDirectory(atPath: "\(folder.path)/sub", withIntermediateDirectories: true)
    let sub = "\(folder.path)/sub"
    #expect(message { try Dataset(sub, DatasetOptions(layout: .chat)) }?.contains("no .jsonl or .json file") == true)
    #expect(message { try Dataset(sub, DatasetOptions(layout: .text)) }?.contains("no .jsonl, .json, .txt or .md file") == true)
  }

  @Test func documentsAreRefused() throws {
    let folder = try TemporaryFolder()
    let cases: [([UInt8], String)] = [
      ([], "the file is empty (0 bytes); text is wanted"), (Array(" \n\t\u{A0}".utf8), ":1:1: the document is empty: nothing to train on"),
      ([0xEF, 0xBB, 0xBF], ":1:1: the document is empty"), (Array("ab\nc".utf8) + [0xE9, 0x20], ":2:2: not UTF-8 text"),
      (Array("é\n\n".utf8) + [0xED, 0xA0, 0x80], ":3:1: not UTF-8 text"), ([0xC3], ":1:1: not UTF-8 text"),
      ([0xFF, 0xFE, 0x61, 0], "UTF-16"), ([0x1F, 0x8B, 8], "compressed (gzip)"),
    ]
    for (bytes, part) in cases {
      let path = try folder.write("a.TXT", bytes)
      let found = message { try Dataset(path, DatasetOptions(layout: .text)) } ?? "accepted"
      #expect(found.contains(path) && found.contains(part), "\(bytes): \(found)")
    }
  }

  /// Excerpts and columns of rows that are long, or not text.
  @Test func findingsStayShort() throws {
    let folder = try TemporaryFolder()
    let long = String(repeating: "é", count: 100_000)
    let path = try folder.write(
      "rows.jsonl",
      "{\"a\":\"\(long)\",\"text\":\"\u{1B}[31m\",\"b\":\"\u{9B}\(long)\"}".replacingOccurrences(of: "\u{1B}", with: "\\u001b"))
    #expect(message { try Dataset(path, DatasetOptions(layout: .text)) } == nil)
    try folder.write("rows.jsonl", "{\"a\":\"\(long)\u{9B}\",\"text\":5,\"b\":\"\(long)\"}")
    let found = message { try Dataset(path, DatasetOptions(layout: .text)) } ?? ""
    #expect(found.contains(":1:200018: \"text\" is a number") && found.utf8.count < 1000 && !found.contains("\u{9B}"))
  }
}
